"""``import``: a file or folder of any kind to JSONL."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from instruct_mner.data import standard_input
from instruct_mner.data.column_layout import is_columns
from instruct_mner.data.conversion import check_absent
from instruct_mner.data.dataset import Reading, ReadOptions, check_picture_folder
from instruct_mner.data.formats import Splits, find_files
from instruct_mner.data.importing import docbin
from instruct_mner.data.importing.brat import brat_posts, of_folder, split_folders
from instruct_mner.data.importing.effects import refuse_without_effect
from instruct_mner.data.importing.inline_pictures import removed_on_failure
from instruct_mner.data.importing.offsets import tell_unit
from instruct_mner.data.importing.piped import piped_file
from instruct_mner.data.importing.plain_text import check_plain, is_plain, plain_posts
from instruct_mner.data.importing.posts import RawPost
from instruct_mner.data.importing.roles import parse_columns
from instruct_mner.data.importing.sources import (
    ROWS_LOOKED_AT,
    Item,
    Source,
    is_json,
)
from instruct_mner.data.importing.splitting import NO_SPLIT, write_splits
from instruct_mner.data.importing.writing import Imported, ImportOptions, write_posts
from instruct_mner.data.lenient import loads
from instruct_mner.data.loading import read_with
from instruct_mner.data.parquet import is_parquet
from instruct_mner.data.problem_groups import ProblemGroups
from instruct_mner.data.rows import picture_root
from instruct_mner.data.unread import check_format
from instruct_mner.errors import ConfigError, DataError
from instruct_mner.files import check_place, exclusive, stream_lines
from instruct_mner.schema.choices import Offsets
from instruct_mner.schema.records import Example

_READ_AS_THEY_ARE = frozenset({".jsonl", ".ndjson"})


def import_file(source: str, out: Path | None, options: ImportOptions) -> Imported:
    """Read a file or folder and write its posts as JSONL.

    Args:
        source: Path, ``-`` for standard input, or ``format:path`` for a format of :mod:`~instruct_mner.data.formats`.
        out: File that is written; a folder for the splits of a folder; ``None`` for standard output.
        options: Options of the user for the file.

    Raises:
        ConfigError: An option is wrong, or the output exists.
        DataError: Anything wrong in the file; all of it at once, by cause, and nothing is written.
    """
    if options.images is not None:
        check_picture_folder(options.images)
    if source == standard_input.NAME and not Path(source).exists():
        source = str(piped_file(parse_columns(options.columns)))
    check_format(Path(source))
    with nullcontext() if out is None else exclusive(out):
        if out is not None:
            check_absent(out)
            check_place(out)
        known = _known_splits(source, options)
        if known is None:
            total = Imported()
            folders = split_folders(Path(source), total.notes)
            if not folders:
                return _import_posts(Path(source), out, options)
            return _import_folders(folders, source, out, options, total)
        return _import_splits(known, source, out, options)


def import_and_split(source: str, folder: Path, options: ImportOptions, share: float, seed: int) -> Imported:
    """Read a file and write its posts as ``train.jsonl`` and ``dev.jsonl`` in a folder; see :func:`import_file`.

    Args:
        source: File, of which all posts are read.
        folder: Folder of the two files.
        options: Options of the user for the file.
        share: Share of the posts in ``dev.jsonl``, in 0..1.
        seed: Seed of the choice.

    Raises:
        ConfigError: An option is wrong, an output exists, or the file holds splits already.
        DataError: Anything wrong in the file; nothing is written.
    """
    if not 0 < share < 1:
        raise ConfigError(f"--split {share:g}: give a share of the posts, above 0 and below 1, such as 0.1")
    if folder.suffix == ".jsonl":
        raise ConfigError(f"--split writes train.jsonl and dev.jsonl; name a folder (-o DIR), not {folder}")
    check_absent(folder / "train.jsonl", folder / "dev.jsonl")
    together = folder / f".imported.{os.getpid()}.jsonl"
    try:
        with removed_on_failure(folder):
            total = import_file(source, together, options)
            splits = [note for note in total.notes if "are in one file, each post with its split" in note]
            if splits:
                raise ConfigError(f"{source} holds splits already; {NO_SPLIT}, or name one of its files")
            total.notes += write_splits(together, share, seed)
    finally:
        together.unlink(missing_ok=True)
        with suppress(OSError):  # there is something in it, as there should be
            folder.rmdir()
    return total


def _known_splits(source: str, options: ImportOptions) -> dict[str, Reading] | None:
    """Read a data set of a format with columns, Parquet or the hub; ``None`` for what is read row by row."""
    path = Path(source)
    columns = parse_columns(options.columns)
    read = ReadOptions(
        images=options.images,
        decode=options.decode,
        columns=columns,
        offsets=options.offsets,
        supposed_suffix=False,
        several_sentences=True,
        label_names=options.label_names,
    )
    if not path.exists():
        form, files = find_files(source)
        rows = form == "jsonl" and len(files) == 1
        if rows:
            raise ConfigError(f"{source}: leave the format out: import {source.partition(':')[2]}")
        refuse_without_effect(source, form, options)
        return read_with(source, read)
    if brat_posts(path, []) is not None:
        return None
    if path.is_dir() or is_parquet(path):
        refuse_without_effect(source, find_files(source)[0], options)
        return read_with(source, read)
    if (
        path.suffix in {docbin.SUFFIX, ".csv", ".xlsx", ".xlsm", ".json", *_READ_AS_THEY_ARE}
        or is_json(path)
        or not is_columns(path)
    ):
        return None
    form = find_files(source)[0] if path.suffix in {".txt", ".conll", ".bio", ".tsv", ".iob", ".iob2"} else "conll"
    refuse_without_effect(source, form, options)
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
        write_posts(posts, out, source, options, total, root=next(iter(readings.values())).dataset.image_root)
        if several:
            same_ids = "; ids that stand in several splits begin with their split" if prefix else ""
            total.notes.append(
                f"{source}: {', '.join(readings)} are in one file, each post with its split in 'meta'{same_ids}; name "
                "a folder (-o DIR) to keep them apart"
            )
        return total
    if options.boxes is not None:
        raise ConfigError(
            f"--boxes: {source} holds several splits; import them one by one, or into one file (-o X.jsonl)"
        )
    for split, reading in readings.items():
        assert out is not None
        path = out / f"{split}.jsonl"
        check_absent(path)
        write_posts(_of_split(split, reading), path, source, options, total, root=reading.dataset.image_root)
    return total


def _import_folders(
    folders: Splits, source: str, out: Path | None, options: ImportOptions, total: Imported
) -> Imported:
    """Write the splits of a brat folder, a file each, all of them or none."""
    names = ", ".join(path.name for path in folders.values())
    if out is None or out.suffix == ".jsonl":
        raise ConfigError(
            f"{source} holds splits, in its folders {names}; name a folder (import {source} -o DIR), in which each "
            "becomes a file, or import one of them"
        )
    if options.boxes is not None:
        raise ConfigError(f"--boxes: {source} holds several splits; import them one by one")
    files = {split: out / f"{split}.jsonl" for split in folders}
    check_absent(*files.values())
    try:
        for split, path in files.items():
            part = _import_posts(folders[split], path, options)
            total.num_posts += part.num_posts
            total.num_entities += part.num_entities
            total.notes += part.notes
    except BaseException:
        for path in files.values():
            path.unlink(missing_ok=True)
        raise
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
    is_docbin = path.suffix == docbin.SUFFIX
    items = partial(docbin.posts, path, total.notes) if is_docbin else brat_posts(path, total.notes)
    if path.is_dir():  # of brat, as its split or as a whole; a split may hold no annotation
        items = partial(of_folder, path, total.notes)
    convention: Offsets | None = "characters" if items is not None else None
    plain = items is None and is_plain(path)
    if plain:
        check_plain(path)
        items = lambda: plain_posts(path)  # noqa: E731
    if items is None:
        if source.head:
            refuse_without_effect(str(path), source.told_layout, options)
        items, convention = source.items, source.convention
    else:
        refuse_without_effect(str(path), "DocBin" if is_docbin else "one post a line" if plain else "brat", options)
    unit: Offsets | None = options.offsets
    converted = False
    if unit is None:
        try:
            unit = _unit_of(items, path, convention)
        except DataError:
            if plain or source.table is None or not source.table.may_be_converted:
                raise
            source = replace(source, newlines_alone=True)
            items = source.items
            with suppress(DataError):
                unit = _unit_of(items, path, convention)
            if unit is None:
                raise
            converted = True
    total.notes.clear()
    if converted:
        total.notes.append(f"{path}: line ends in cells are read as newlines alone, because offsets fit only then")
    total.notes += source.roles.notes if "roles" in source.__dict__ else ()
    if plain:
        total.notes.append(f"{path}: read as one post a line")
    if unit != "characters":
        total.notes.append(f"{path}: the offsets of its entities are read as {unit}")
    posts = _fast_jsonl(path, source) if unit == "characters" and path.suffix in _READ_AS_THEY_ARE else items()
    write_posts(posts, out, str(path), options, total, root=picture_root(path, None), unit=unit)
    return total


def _unit_of(items: Callable[[], Iterator[Item]], path: Path, convention: Offsets | None) -> Offsets:
    first = [item for item in islice(items(), ROWS_LOOKED_AT) if isinstance(item, RawPost)]
    return tell_unit(first, str(path), convention)


def _fast_jsonl(path: Path, source: Source) -> Iterator[Example | Item]:
    """Read lines of the native format as they are, and only the others by their columns."""
    native = all(isinstance(row, dict) and row.keys() <= Example.model_fields.keys() for row in source.head)
    if source.told_layout != "columns" or source.chosen or not native:
        yield from source.items()
        return
    for line in stream_lines(path):
        try:
            example = Example.model_validate_json(line.text)
            loads(line.text)
        except ValueError:
            # No post of the native format, a key given twice, or something that follows from the rest.
            yield from source.items_of_line(line)
        else:
            yield example
