"""Standard input as a file whose ending says what it holds, as ``import`` tells files apart."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from instruct_mner.data.column_layout import TOKEN_NAMES
from instruct_mner.data.importing.roles import TEXT_NAMES
from instruct_mner.data.importing.sources import is_json, is_json_lines
from instruct_mner.data.standard_input import spooled
from instruct_mner.files import opened, stream_lines

_BINARY = {b"PK\x03\x04": ".xlsx", b"PAR1": ".parquet"}


def piped_file(columns: Mapping[str, Sequence[str]]) -> Path:
    """Copy standard input into a file.

    Args:
        columns: Columns by role, as the user says, by which a header of a table is known too.
    """
    path = spooled()
    with opened(path) as file:
        begin = file.read(4)
    if begin in _BINARY:
        return _called(path, _BINARY[begin])
    if is_json(_called(path, ".txt")):
        return path if is_json_lines(_called(path, ".json")) else _called(path, ".json")
    first = next((line.text for line in stream_lines(path) if line.text.strip()), "")
    known = {*TEXT_NAMES, *TOKEN_NAMES, *(name.lower() for names in columns.values() for name in names)}
    for delimiter, suffix in {"\t": ".tsv", ",": ".csv", ";": ".csv", "|": ".csv"}.items():
        if {name.strip(' "').lower() for name in first.split(delimiter)} & known:
            return _called(path, suffix)
    return _called(path, ".txt")


def piped_rows() -> Path:
    """Copy standard input into a file; an object alone is a line of JSON, as of a file with one row."""
    path = piped_file({})
    is_object = path.suffix == ".json" and next(stream_lines(path)).text.lstrip().startswith("{")
    rows = sum(bool(line.text.strip()) for line in islice(stream_lines(path), 2)) if is_object else 0
    return spooled() if rows == 1 else path


def _called(path: Path, suffix: str) -> Path:
    """Return a file with another ending and the same content."""
    other = path.with_suffix(suffix)
    if not other.exists():
        os.link(path, other)
    return other
