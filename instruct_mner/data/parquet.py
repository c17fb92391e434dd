"""Parquet, one post a row, with the fields of ``Example`` as columns; what is null is left out.

The columns of a file of posts (``text`` and an ``id``, a string or a whole number, are all that is asked for)::

    id: string, text: string, images: list<string>,
    entities: list<struct<start: int64, end: int64, text: string, label: string,
                          boxes: list<struct<image: int64, box: list<double>>>>>

Data sets of the Hugging Face hub, which hold their pictures themselves, are another format: ``hub:``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from instruct_mner.data.dataset import Reading, ReadOptions
from instruct_mner.data.lenient import completed
from instruct_mner.data.rows import Row, collect, parse_row
from instruct_mner.errors import DataError
from instruct_mner.files import opened, write_error
from instruct_mner.schema.records import Example

# Rows that are held at once.
_BATCH = 256
_MOST_NAMED = 12


def read(path: Path, options: ReadOptions) -> Reading:
    """Read one file; see ``Reader``."""
    try:
        reading = collect("parquet", path, options, rows(path))
    except DataError as error:
        if path.is_file():  # cut, or no Parquet: as any other problem of a file
            empty = collect("parquet", path, options, iter(()))
            return Reading(empty.dataset, (str(error),))
        raise
    if reading.problems and (columns := _foreign_columns(path)):
        others = f"{path}: columns are {columns}, of which not all are those of posts as convert writes them; where it "
        return replace(reading, problems=(f"{others}is a data set of Hugging Face, name hub:{path}", *reading.problems))
    return reading


def is_parquet(path: Path) -> bool:
    """Return whether a file is Parquet by its name."""
    return path.suffix.lower() == ".parquet"


def _foreign_columns(path: Path) -> str | None:
    """Return the columns of a table where not all are those of posts, or needed ones are not there."""
    with opened(path) as file:
        names = parquet.read_schema(file).names
    own = set(names) <= Example.model_fields.keys() and {"id", "text"} <= set(names)
    return None if own else ", ".join(map(repr, names[:_MOST_NAMED])) + (", …" if names[_MOST_NAMED:] else "")


def rows(path: Path, position: int = 0) -> Iterator[Row]:
    """Read the rows of a file, from one on, counted from 0.

    Raises:
        DataError: It cannot be read as Parquet.
    """
    for number, values in enumerate(stream_values(path, position), start=position):
        row, num_filled = completed(with_meta(values))
        yield parse_row(partial(Example.model_validate, row), path, number + 1, number, num_filled=num_filled)


def with_meta(values: dict[str, Any]) -> dict[str, Any]:
    """Return a row whose further columns are no longer a text of JSON."""
    meta = values.get("meta")
    if not isinstance(meta, str):
        return values
    try:
        return {**values, "meta": json.loads(meta)}
    except ValueError:
        return values  # which its check refuses


def stream_values(path: Path, first: int = 0) -> Iterator[dict[str, Any]]:
    """Read the rows of a Parquet file as dictionaries without nulls, from one on; few are held at once.

    Raises:
        DataError: It cannot be read as Parquet.
    """
    with opened(path) as raw:
        try:
            # A group of rows is read piece by piece, not ahead.
            file = parquet.ParquetFile(raw, pre_buffer=False, buffer_size=1 << 20)
            groups, skipped = _groups_from(file.metadata, first)
            to_skip = first - skipped
            for batch in file.iter_batches(batch_size=_BATCH, row_groups=groups):
                if to_skip >= len(batch):
                    to_skip -= len(batch)
                    continue
                for values in batch.slice(to_skip).to_pylist():
                    yield _without_null(values)
                to_skip = 0
        except (pa.ArrowException, OSError) as error:
            reason = str(error).split("\n")[0]
            raise DataError(f"{path}: cannot be read as Parquet: {reason}; is it cut, or another format?") from None


BOX = pa.struct([("image", pa.int64()), ("box", pa.list_(pa.float64()))])
"""A box in a table."""
# Rows that are held at once when a file is written, and a group of rows in it.
_ROWS_OF_GROUP = 1024


def write_rows(rows: Iterable[Mapping[str, object]], schema: pa.Schema, path: Path) -> None:
    """Write rows as Parquet; the file appears whole or not at all, and few rows are held at once.

    Raises:
        DataError: It cannot be written.
    """
    remaining = iter(rows)
    written = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with parquet.ParquetWriter(written, schema) as writer:
            while group := list(islice(remaining, _ROWS_OF_GROUP)):
                writer.write_table(pa.Table.from_pylist(group, schema=schema))
        written.replace(path)
    except OSError as error:
        raise write_error(path, error) from None
    finally:
        with suppress(OSError):  # there was no such folder
            written.unlink(missing_ok=True)


def _groups_from(metadata: Any, first: int) -> tuple[list[int], int]:
    """Return the groups that hold rows from one on, and the number of rows in the groups before them."""
    before = 0
    for group in range(metadata.num_row_groups):
        rows_of_group = metadata.row_group(group).num_rows
        if before + rows_of_group > first:
            return list(range(group, metadata.num_row_groups)), before
        before += rows_of_group
    return [], before


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_null(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_null(inner) for inner in value]
    return value
