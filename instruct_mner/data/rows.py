"""Files of one post a row, JSONL or Parquet: read row by row, from any place."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from instruct_mner.data.dataset import Dataset, Reading, ReadOptions, dataset_name, missing_pictures, picture_folder
from instruct_mner.data.inclusive_ends import InclusiveEnds
from instruct_mner.data.standard_input import is_spooled
from instruct_mner.files import opened
from instruct_mner.schema.choices import Segmentation
from instruct_mner.schema.packed import pack
from instruct_mner.schema.records import Example
from instruct_mner.schema.validation_messages import reasons


@dataclass(frozen=True)
class Row:
    """A row of a file.

    Attributes:
        number: Number from 1; that of a line, where rows are lines.
        position: Position from which it can be read again: a byte of JSONL, a row of Parquet.
        example: The post; ``None`` where it is wrong.
        problems: Everything that is wrong in it, each as ``file:number: reason``.
        num_filled: Entities whose text was not given and follows from their offsets.
    """

    number: int
    position: int
    example: Example | None
    problems: tuple[str, ...] = ()
    num_filled: int = 0


Rows = Callable[[Path, int], Iterator[Row]]
"""Reads the rows of a file from a position on."""


def parse_row(
    parse: Callable[[], Example],
    path: Path,
    number: int,
    position: int,
    problems: tuple[str, ...] = (),
    *,
    num_filled: int = 0,
) -> Row:
    """Return a row from the function that makes its post, with everything that is wrong in it."""
    try:
        return Row(number, position, parse(), problems, num_filled)
    except ValidationError as error:
        wrong = (f"{path}:{number}: {reason}" for reason in reasons(error, Example))
        return Row(number, position, None, (*problems, *wrong))


def file_sha256(path: Path) -> str:
    """Hash a file without holding it in memory."""
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def picture_root(path: Path, images: Path | None) -> Path | None:
    """Return the folder of the pictures: that of the file, or for standard input this one, unless another is given."""
    if images is None and is_spooled(path):
        return Path.cwd()
    return path.parent if images is None else picture_folder(path.parent, images)


def repeated_id(path: Path, number: int, first: int, identifier: str) -> str:
    """Return the problem of an id that two rows have."""
    return f"{path}:{number}: id {identifier!r} stands already in line {first}; give each post an id of its own"


def no_post(path: Path, form: str) -> str:
    """Return the problem of a file without rows."""
    expected = "one JSON object a line" if form == "jsonl" else "one post a row"
    return f"{path}:1: the file holds no post; expected {expected}"


def collect(form: str, path: Path, options: ReadOptions, rows: Iterator[Row]) -> Reading:
    """Read all rows of a file as a data set; see ``Reader``. Spans are stored as such: ``decode`` chooses nothing."""
    problems: list[str] = []
    ends = InclusiveEnds()
    examples = pack(_usable(path, rows, problems, ends))
    if not examples and not problems:
        problems.append(no_post(path, form))
    problems += ends.problems(path)
    root = picture_root(path, options.images)
    dataset = Dataset(
        name=dataset_name(path.parent, path.stem),
        format=form,
        path=path,
        sha256=file_sha256(path),
        examples=examples,
        image_root=root,
        missing_images=missing_pictures(examples, root),
        segmentation=_segmentation(examples),
    )
    return Reading(dataset, tuple(problems))


def _usable(path: Path, rows: Iterator[Row], problems: list[str], ends: InclusiveEnds) -> Iterator[Example]:
    """Iterate over the posts that can be used, and note what is wrong in the others."""
    line_of_id: dict[str, int] = {}
    for row in rows:
        problems += row.problems
        if row.example is None:
            continue
        if row.num_filled:
            ends.look_at(row.example)
        first = line_of_id.setdefault(row.example.id, row.number)
        if first != row.number:
            problems.append(repeated_id(path, row.number, first, row.example.id))
        else:
            yield row.example


def _segmentation(examples: Sequence[Example]) -> Segmentation:
    """Return ``characters`` where every text is its tokens joined with nothing, as in a converted CMNER set."""
    tokenised = False
    for example in examples:
        if example.tokens is not None and len(example.tokens) > 1:
            tokenised = True
            if "".join(example.tokens) != example.text:
                return "words"
    return "characters" if tokenised else "words"
