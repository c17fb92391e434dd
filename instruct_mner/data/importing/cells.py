r"""Cells of a table that is text: CSV, TSV, with semicolons or with bars.

A cell in quotes may hold newlines and separators, and a quote within it is written twice. Many programs write TSV
without any quoting; there a token may be a bare quote::

    sentence_id\tword\ttag
    1\t"\tO
    1\tBob\tB-PER
    1\t"\tO
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from instruct_mner.errors import DataError
from instruct_mner.files import read_text

Cells = tuple[int, list[str]]

_DELIMITERS = ",;\t|"
_TAB = "\t"
# A quote begins a cell in quotes at the beginning of a cell alone.
_IN_QUOTES = re.compile(r'(?<![^,;\t|\n])"[^"]*"')
_HEADER = re.compile(r'(?:(?<![^,;\t|\n])"[^"]*"|[^\n])*')


def read_cells(path: Path, notes: list[str], *, newlines_alone: bool = False) -> Iterator[Cells]:
    """Read the rows of a table, each with the number of its first line; blank lines are none.

    Args:
        path: The table.
        notes: Lines for the user, to which one is added where quotes are read as characters.
        newlines_alone: True to read a carriage return and a newline in a cell as a newline.

    Raises:
        DataError: It cannot be read, its quotes cannot be understood, or a row is longer or shorter than the header.
    """
    # All of it, because a cell may hold newlines; as it is, because offsets count a carriage return too.
    text = read_text(path, keep_returns=not newlines_alone)
    first = text.partition("\n")[0]
    delimiter = _delimiter(text)
    # The limit guards those who read streams; here the text is in memory already.
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    if delimiter == _TAB and '"' in text and not first.startswith('"'):
        try:
            for _ in _quoted(text, delimiter, path):
                pass
        except DataError:
            if not _is_whole(text, delimiter):
                raise
            note = (
                f"{path}: quotes are read as characters, because in quotes a cell would hold whole rows or have no end"
            )
            if note not in notes:
                notes.append(note)
            return _unquoted(text, delimiter)
    return _quoted(text, delimiter, path)


def _delimiter(text: str) -> str:
    """Return the delimiter of the header: that which stands in it most often, outside of quotes where there is any."""
    header = _HEADER.match(text)
    first = "" if header is None else _IN_QUOTES.sub("", header.group())
    first = first if any(each in first for each in _DELIMITERS) else text.partition("\n")[0]
    return max(_DELIMITERS, key=first.count)


def ends_lines_with_returns(path: Path) -> bool:
    """Return true where all lines end with a carriage return and a newline, as where a program converted a file."""
    text = read_text(path, keep_returns=True)
    return text.count("\n") == text.count("\r\n") > 0


def _quoted(text: str, delimiter: str, path: Path) -> Iterator[Cells]:
    lines = text.split("\n")
    reader = csv.reader(io.StringIO(text, newline="\n"), delimiter=delimiter, strict=True)
    begun = 1
    width = 0
    try:
        for cells in reader:
            if _hold_rows(cells, lines[begun - 1 : reader.line_num], delimiter):
                raise DataError(
                    f"{path}:{begun}: a cell begins with a quote and holds the rows below it, up to line "
                    f"{reader.line_num}; put the cell into quotes and write each quote in it twice"
                )
            if any(cell.strip() for cell in cells):
                width = width or len(cells)
                if len(cells) != width:
                    raise DataError(
                        f"{path}:{begun}: {len(cells)} cells, the header has {width}; put cells that hold "
                        f"{delimiter!r} into quotes"
                    )
                yield begun, cells
            begun = reader.line_num + 1
    except csv.Error as error:
        returns = "new-line" in str(error)
        reason = "a carriage return stands in a cell that has no quotes" if returns else str(error)
        raise DataError(
            f"{path}:{begun}: no table of cells separated by {delimiter!r}: {reason}; a cell that begins with a quote, "
            "or holds a line break, stands in quotes, and each quote in it is written twice"
        ) from None


def _hold_rows(cells: list[str], lines: list[str], delimiter: str) -> bool:
    """Return true for a row of several lines, each of which is a row by itself.

    Lines of a text may have commas; only where each begins with a number, too, are they rows.
    """
    if len(lines) < 2 or len(cells) < 2:
        return False
    pieces = [line.split(delimiter) for line in lines]
    whole = all(len(each) == len(cells) for each in pieces)
    return whole and (delimiter == _TAB or all(each[0].strip().isdecimal() for each in pieces))


def _unquoted(text: str, delimiter: str) -> Iterator[Cells]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line.removesuffix("\r").split(delimiter)


def _is_whole(text: str, delimiter: str) -> bool:
    """Return true where all lines have as many cells, without any quoting."""
    return len({len(cells) for _, cells in _unquoted(text, delimiter)}) == 1
