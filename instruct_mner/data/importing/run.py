"""``import``: a file or folder of any kind to JSONL, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TextIO

from pydantic import ValidationError

from instruct_mner.data import jsonl
from instruct_mner.data.checks import GoldCheck
from instruct_mner.data.column_layout import is_columns
from instruct_mner.data.dataset import Reading, ReadOptions, find_picture
from instruct_mner.data.formats import find_files
from instruct_mner.data.importing.entities import Repeated, entities_of
from instruct_mner.data.importing.offsets import Unit, tell_unit, text_of
from instruct_mner.data.importing.posts import Fault, RawPost
from instruct_mner.data.importing.roles import parse_columns
from instruct_mner.data.importing.sources import (
    ROWS_LOOKED_AT,
    Item,
    Source,
    brat_posts,
    is_json,
    is_plain,
    plain_posts,
)
from instruct_mner.data.loading import read_with
from instruct_mner.data.problem_groups import ProblemGroups
from instruct_mner.errors import ConfigError, DataError
from instruct_mner.files import check_place, replacing, stream_lines
from instruct_mner.schema.choices import Decode, ImportLayout, Offsets
from instruct_mner.schema.records import Example
from instruct_mner.schema.validation_messages import reasons

_READ_AS_THEY_ARE = frozenset({".jsonl", ".ndjson"})


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What the user says of a file.

    Attributes:
        images: Folder of the pictures.
        columns: ``ROLE=NAME``, a column each.
        offsets: Unit of the offsets of entities.
        decode: Rule that turns BIO tags into spans.
        text_after: Words after which the text of a conversation begins.
        label_names: Names of labels that are numbers, in their order.
        layout: ImportLayout of the rows.
    """

    images: Path | None = None
    columns: Sequence[str] = ()
    offsets: Offsets | None = None
    decode: Decode = "tolerant"
    text_after: str | None = None
    label_names: Sequence[str] = ()
    layout: ImportLayout | None = None


@dataclass
class Imported:
    """The result of an import.

    Attributes:
        num_posts: Posts that were written.
        num_entities: Their entities.
        notes: Lines for the user: what was read as what, carried along and left out.
    """

    num_posts: int = 0
    num_entities: int = 0
    notes: list[str] = field(default_factory=list)


def import_file(source: str, out: Path | None, options: ImportOptions) -> Imported:
    """Read a file or folder and write its posts as JSONL.

    Args:
        source: Path, or ``format:path`` for a format of :mod:`~instruct_mner.data.formats`.
        out: File that is written; a folder for the splits of a folder; ``None`` for standard output.
        options: What the user says of the file.

    Raises:
        ConfigError: An option is wrong, or the output exists.
        DataError: Anything wrong in the file; all of it at once, by cause, and nothing is written.
    """
    if options.images is not None and not options.images.is_dir():
        raise ConfigError(f"--images {options.images}: there is no such folder; check the path")
    if out is not None:
        if out.is_file():
            raise ConfigError(f"{out} exists; choose another name or remove it")
        check_place(out)
    known = _known_splits(source, options)
    if known is None:
        return _import_posts(Path(source), out, options)
    return _import_splits(known, source, out, options)


def _known_splits(source: str, options: ImportOptions) -> dict[str, Reading] | None:
    """Read a data set of a format with columns, Parquet or the hub; ``None`` for what is read row by row."""
    path = Path(source)
    columns = parse_columns(options.columns)
    read = ReadOptions(
        images=options.images, decode=options.decode, columns=columns, offsets=options.offsets, supposed_suffix=False
    )
    if not path.exists():
        form, files = find_files(source)
        rows = form == "jsonl" and len(files) == 1
        if rows:
            raise ConfigError(f"{source}: leave the format out: import {next(iter(files.values()))}")
        return read_with(source, read)
    if brat_posts(path, []) is not None:
        return None
    if path.is_dir() or path.suffix == ".parquet":
        return read_with(source, read)
    if path.suffix in {".csv", ".xlsx", ".xlsm", ".json", *_READ_AS_THEY_ARE} or is_json(path) or not is_columns(path):
        return None
    form = find_files(source)[0] if path.suffix in {".txt", ".conll", ".bio", ".tsv", ".iob", ".iob2"} else "conll"
    return read_with(f"{form}:{path}", read)


def _import_splits(readings: Mapping[str, Reading], source: str, out: Path | None, options: ImportOptions) -> Imported:
    """Write the splits of a data set: a file each in a folder, or all in one file, each post with its split."""
    ProblemGroups(problem for reading in readings.values() for problem in reading.problems).stop(source)
    total = Imported(notes=[note for reading in readings.values() for note in reading.dataset.notes])
    one_file = len(readings) == 1 or out is None or out.suffix == ".jsonl"
    if one_file:
        ids = [example.id for reading in readings.values() for example in reading.dataset.examples]
        prefix = len(set(ids)) < len(ids)
        several = len(readings) > 1
        posts = (post for split, reading in readings.items() for post in _of_split(split, reading, several, prefix))
        _write(posts, out, source, options, total, root=next(iter(readings.values())).dataset.image_root)
        if several:
            same_ids = "; ids that stand in several splits begin with their split" if prefix else ""
            total.notes.append(
                f"{source}: {', '.join(readings)} are in one file, each post with its split in 'meta'{same_ids}; name "
                "a folder (-o DIR) to keep them apart"
            )
        return total
    for split, reading in readings.items():
        assert out is not None
        path = out / f"{split}.jsonl"
        if path.is_file():
            raise ConfigError(f"{path} exists; choose another name or remove it")
        _write(_of_split(split, reading), path, source, options, total, root=reading.dataset.image_root)
    return total


def _of_split(split: str, reading: Reading, mark: bool = False, prefix: bool = False) -> Iterator[Example]:
    """Return the posts of a split, marked with it, and with it in their ids."""
    for example in reading.dataset.examples:
        update: dict[str, Any] = {}
        if mark:
            update["meta"] = {**(example.meta or {}), "split": split}
        if mark and prefix:
            update["id"] = f"{split}-{example.id}"
        yield example.model_copy(update=update)


def _import_posts(path: Path, out: Path | None, options: ImportOptions) -> Imported:
    """Write the posts of a file that is read row by row, twice: once to tell its columns and offsets."""
    total = Imported()
    source = Source(
        path,
        parse_columns(options.columns),
        options.decode,
        options.text_after,
        options.label_names,
        options.layout,
        total.notes,
    )
    items = brat_posts(path, total.notes)
    convention: Offsets | None = "characters" if items is not None else None
    if items is None and is_plain(path):
        if path.is_dir() or path.suffix not in {".txt", ".text", ""}:
            raise DataError(f"{path}: no column of tags in it; expected a token and its tag a line")
        items = lambda: plain_posts(path)  # noqa: E731
        total.notes.append(f"{path}: read as one post a line")
    if items is None:
        items, convention = source.items, source.convention
    unit: Unit | None = options.offsets
    if unit is None:
        first = [item for item in islice(items(), ROWS_LOOKED_AT) if isinstance(item, RawPost)]
        unit = tell_unit(first, str(path), convention)
    total.notes.clear()
    total.notes += source.roles.notes if "roles" in source.__dict__ else ()
    if unit != "characters":
        total.notes.append(f"{path}: the offsets of its entities are read as {unit}")
    posts = _fast_jsonl(path, source) if unit == "characters" and path.suffix in _READ_AS_THEY_ARE else items()
    _write(posts, out, str(path), options, total, root=path.parent, unit=unit)
    return total


def _fast_jsonl(path: Path, source: Source) -> Iterator[Example | Item]:
    """Read lines of the native format as they are, and only the others by their columns."""
    if source.told_layout != "columns" or source.chosen:
        yield from source.items()
        return
    for line in stream_lines(path):
        row = jsonl.parse_line(line, path)
        # A line that is no post of the native format, or that holds what follows from the rest, is read by its columns.
        if row is not None and row.example is not None and not row.num_filled:
            yield row.example
        elif row is not None:
            yield from source.items_of_line(line)


def _write(
    posts: Iterable[Example | Item],
    out: Path | None,
    source: str,
    options: ImportOptions,
    total: Imported,
    *,
    root: Path | None,
    unit: Unit = "characters",
) -> None:
    problems = ProblemGroups()
    check = GoldCheck(source)
    seen: set[int] = set()
    counts, repeated = _Counts(), Repeated()
    name = _namer(root, out, options.images, counts)
    begun = total.num_posts
    with _target(out) as file:
        for number, item in enumerate(posts, start=1):
            example = _example(item, unit, problems, source, number, repeated)
            if example is None:
                continue
            if hash(example.id) in seen:
                problems.add(
                    f"{_where(item, source, number)}: id {example.id!r} stands already above; give each post an id of "
                    "its own, or carry the column along (--column meta=NAME) to have ids made"
                )
                continue
            seen.add(hash(example.id))
            check.look_at(example, "words")
            if example.images:
                example = example.model_copy(update={"images": tuple(map(name, example.images))})
            total.num_posts += 1
            total.num_entities += len(example.entities or ())
            file.write(example.model_dump_json(exclude_none=True) + "\n")
        result = check.result()
        problems.add_all(result.problems)
        if total.num_posts == begun and not problems:
            problems.add(f"{source}: the file holds no post")
        problems.stop(source)
    total.notes += [*_notes(counts, repeated, source, options.images), *result.lines()]


@contextmanager
def _target(out: Path | None) -> Iterator[TextIO]:
    """Open the output; standard output gets everything at the end, or nothing where there are problems."""
    if out is not None:
        with replacing(out) as file:
            yield file
        return
    with TemporaryFile("w+", encoding="utf-8", newline="\n") as file:
        yield file
        file.seek(0)
        shutil.copyfileobj(file, sys.stdout)


def _notes(counts: _Counts, repeated: Repeated, source: str, images: Path | None) -> list[str]:
    notes = repeated.notes(source)
    if counts.num_missing and images is not None:
        notes.append(f"{source}: {counts.num_missing} of {counts.num_named} pictures are not in {images}")
    return notes


@dataclass
class _Counts:
    num_named: int = 0
    num_missing: int = 0


def _namer(root: Path | None, out: Path | None, images: Path | None, counts: _Counts) -> Callable[[str], str]:
    """Return the function that names a picture relative to the written file, where the picture is there."""
    folder = (Path.cwd() if out is None else out.parent).resolve()

    def name(picture: str) -> str:
        counts.num_named += 1
        found = find_picture(images or root, picture)
        if found is None and images is not None:
            found = find_picture(images, Path(picture).name)
        if found is None:
            counts.num_missing += 1
            return picture
        return Path(os.path.relpath(found.resolve(), folder)).as_posix()

    return name


def _where(item: Example | Item, source: str, number: int) -> str:
    return f"{source}: post {number}" if isinstance(item, Example) else item.where


def _example(
    item: Example | Item, unit: Unit, problems: ProblemGroups, source: str, number: int, repeated: Repeated
) -> Example | None:
    if isinstance(item, Example):
        return item
    if isinstance(item, Fault):
        problems.add(f"{item.where}: {item.reason}")
        return None
    try:
        text = text_of(item)
        made = hashlib.sha256(f"{Path(source).name}\n{text}".encode("utf-8", "replace")).hexdigest()[:8]
        values = {
            "id": f"{made}-{number}" if item.id is None else item.id,
            "text": text,
            "images": item.images,
            "entities": None if item.marks is None else entities_of(item, item.unit or unit, repeated),
            "tokens": item.tokens,
            "context": item.context,
            "meta": dict(item.meta) or None,
        }
        return Example.model_validate({name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        problems.add_all(f"{item.where}: {reason}" for reason in reasons(error, Example))
    except ValueError as error:
        problems.add(f"{item.where}: {error}")
    return None
