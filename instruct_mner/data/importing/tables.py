r"""Tables: CSV and TSV with a header, and Excel; one post a row, one token a row, or one mention a row.

::

    id,text,image,entities                                  Sentence #,Word,Tag          id,text,start,end,label
    1,Anna left,7.png,"[{""start"": 0, ""end"": 4, …}]"     Sentence: 1,Anna,B-PER       1,Anna met Bo,0,4,PER
                                                            ,left,O                      1,Anna met Bo,9,11,PER
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from instruct_mner.data.column_layout import GROUP_NAMES, TAG_NAMES, TOKEN_NAMES
from instruct_mner.data.importing.generic import parse_cell
from instruct_mner.data.importing.mention_rows import gathered_mentions, mention_columns
from instruct_mner.data.tag_schemes import is_tag
from instruct_mner.errors import DataError
from instruct_mner.files import read_text, stream_lines

Numbered = tuple[int, dict[str, Any]]

_DELIMITERS = ",;\t|"
_ROWS_LOOKED_AT = 200


def read_table(path: Path, notes: list[str] | None = None) -> Iterator[Numbered]:
    """Read the rows of a table as objects, each with its number; of one token or mention a row, those of a post as one.

    Args:
        path: The table.
        notes: Lines for the user, to which one is added where a row is a mention.

    Raises:
        DataError: It cannot be read, or has no header.
    """
    rows = _of_excel(path) if path.suffix.lower() in {".xlsx", ".xlsm"} else _of_text(path)
    head = list(islice(rows, _ROWS_LOOKED_AT))
    looked_at = [row for _, row in head]
    columns = _token_columns(looked_at)
    everything = (row for part in (head, rows) for row in part)
    if columns is not None:
        return _gathered(everything, *columns, path)
    mentions = mention_columns(looked_at)
    if mentions is None:
        return everything
    if notes is not None and mentions.note(path) not in notes:
        notes.append(mentions.note(path))
    return gathered_mentions(everything, mentions, path)


def _of_text(path: Path) -> Iterator[Numbered]:
    first = next((line.text for line in stream_lines(path)), "")
    delimiter = max(_DELIMITERS, key=first.count) if any(each in first for each in _DELIMITERS) else ","
    # All of it, because a cell may hold newlines.
    reader = csv.reader(io.StringIO(read_text(path), newline="\n"), delimiter=delimiter, strict=True)
    try:
        header = next(reader, None)
        _check_header(header, path)
        for cells in reader:
            if not cells or not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header or ()):
                raise DataError(
                    f"{path}:{reader.line_num}: {len(cells)} cells, the header has {len(header or ())}; put cells that "
                    f"hold {delimiter!r} into quotes"
                )
            yield reader.line_num, {name: _cell(cell) for name, cell in zip(header or (), cells, strict=True)}
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: no table of cells separated by {delimiter!r}: {error}") from None


def _of_excel(path: Path) -> Iterator[Numbered]:
    try:
        import openpyxl
    except ImportError:
        raise DataError(f"{path}: Excel needs openpyxl: pip install openpyxl, or save the sheet as CSV") from None
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except Exception as error:
        raise DataError(f"{path}: cannot be read as Excel: {error}; save it as .xlsx or CSV") from None
    sheet, *others = book.worksheets
    full = [
        other.title for other in others if any(map(any, islice(other.iter_rows(values_only=True), _ROWS_LOOKED_AT)))
    ]
    if full:
        raise DataError(
            f"{path}: holds several sheets ({sheet.title}, {', '.join(full)}), of which only the first would be read; "
            "save each as a file of its own"
        )
    rows = sheet.iter_rows(values_only=True)
    header = [None if name is None else str(name) for name in next(rows, ())]
    while header and header[-1] is None:
        header.pop()
    _check_header(header, path)
    for number, cells in enumerate(rows, start=2):
        nameless = [cell for name, cell in zip_longest(header, cells) if name is None and cell is not None]
        if nameless:
            raise DataError(
                f"{path}:{number}: cell {str(nameless[0])[:40]!r} stands in a column without a name; name it in "
                "the first row, or empty the cell"
            )
        values = {name: _cell(cell) for name, cell in zip(header, cells, strict=False) if name is not None}
        if any(value is not None for value in values.values()):
            yield number, values


def _check_header(header: Sequence[str | None] | None, path: Path) -> None:
    if not header:
        raise DataError(f"{path}:1: the table is empty; expected a header with the names of its columns")
    names = [name for name in header if name is not None]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path}:1: column {twice[0]!r} is given twice; rename one of them")


def _cell(cell: Any) -> Any:
    if cell is None or cell == "":
        return None
    return parse_cell(cell)


def _token_columns(rows: Sequence[Mapping[str, Any]]) -> tuple[str, str] | None:
    """Return the columns of token and tag of a table of one token a row."""
    names = {name.strip().lower(): name for row in rows for name in row}
    word = next((names[name] for name in TOKEN_NAMES if name in names), None)
    tag = next((names[name] for name in TAG_NAMES if name in names), None)
    if word is None or tag is None:
        return None
    tags = [row[tag] for row in rows if row.get(tag) is not None]
    return (word, tag) if tags and all(isinstance(each, str) and is_tag(each) for each in tags) else None


def _gathered(rows: Iterable[Numbered], word: str, tag: str, path: Path) -> Iterator[Numbered]:
    group: str | None = None
    current, begun = None, 0
    tokens: list[str] = []
    tags: list[str] = []
    for number, row in rows:
        if group is None:
            lowered = {name.strip().lower(): name for name in row}
            group = next((lowered[name] for name in GROUP_NAMES if name in lowered), None)
            if group is None:
                raise DataError(f"{path}: one token a row, and no column says which post it is of; add a column "
                                "sentence_id")  # fmt: skip
        key = row.get(group)
        if key is not None and key != current:
            if tokens:
                yield begun, {"id": str(current), "tokens": tokens, "ner_tags": tags}
            current, begun, tokens, tags = key, number, [], []
        if row.get(tag) is None:
            raise DataError(f"{path}:{number}: token {row.get(word)!r} has no tag in column {tag!r}")
        tokens.append("" if row.get(word) is None else str(row[word]))
        tags.append(row[tag])
    if tokens:
        yield begun, {"id": str(current), "tokens": tokens, "ner_tags": tags}
