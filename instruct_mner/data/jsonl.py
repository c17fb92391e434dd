r"""JSONL, the native format: one post a line, the fields of ``Example``.

A raw row (one line; pictures lie relative to the folder of the file)::

    {"id": "575705", "text": "RT @ PSDSecondary : Webber MS welcomes Mr", "images": ["pictures/575705.jpg"],
     "entities": [{"start": 20, "end": 29, "text": "Webber MS", "label": "PER",
                   "boxes": [{"image": 0, "box": [132, 22, 500, 706]}]}]}

Only ``id`` and ``text`` are asked for. A field that is left out is not annotated; ``[]`` is annotated as
empty.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from instruct_mner.data.dataset import Dataset, Reading, ReadOptions, dataset_name, missing_pictures, picture_folder
from instruct_mner.files import decode_lines, read_bytes, replacing
from instruct_mner.offsets import Segmentation
from instruct_mner.problems import reasons
from instruct_mner.records import Example


def read(path: Path, options: ReadOptions) -> Reading:
    """Reads one file; see ``Reader``. Spans are stored as such, so ``decode`` has nothing to choose."""
    content = read_bytes(path)
    lines, problems = decode_lines(content, path)
    examples: list[Example] = []
    line_of_id: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip(" "):
            continue
        try:
            example = Example.model_validate_json(line)
        except ValidationError as error:
            problems += [f"{path}:{number}: {reason}" for reason in reasons(error, Example)]
            continue
        if line_of_id.setdefault(example.id, number) != number:
            first = line_of_id[example.id]
            problems.append(
                f"{path}:{number}: id {example.id!r} stands already in line {first}; give each post an id of its own"
            )
            continue
        examples.append(example)
    if not examples and not problems:
        problems.append(f"{path}:1: the file holds no post; expected one JSON object a line")
    root = path.parent if options.images is None else picture_folder(path.parent, options.images)
    dataset = Dataset(
        name=dataset_name(path.parent, path.stem),
        format="jsonl",
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        examples=tuple(examples),
        image_root=root,
        missing_images=missing_pictures(examples, root),
        segmentation=_segmentation(examples),
    )
    return Reading(dataset, tuple(problems))


def _segmentation(examples: Sequence[Example]) -> Segmentation:
    """``characters`` where the text of every post is its tokens joined with nothing, as in a CMNER set converted."""
    tokenised = [example for example in examples if example.tokens is not None and len(example.tokens) > 1]
    joined = all("".join(example.tokens or ()) == example.text for example in tokenised)
    return "characters" if tokenised and joined else "words"


def write_jsonl(path: Path, examples: Iterable[Example]) -> None:
    """Writes posts, one a line; the file appears whole or not at all.

    Raises:
        DataError: It cannot be written.
    """
    with replacing(path) as file:
        for example in examples:
            # Without what is None: a field that is left out is one that is not annotated.
            file.write(example.model_dump_json(exclude_none=True) + "\n")
