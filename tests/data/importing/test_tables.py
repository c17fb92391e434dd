"""Tables: delimiters, cells, tokens of a row each, and what is no table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from instruct_mner.data.importing.posts import Fault
from instruct_mner.data.importing.tables import Table
from instruct_mner.errors import DataError


def rows(folder: Path, content: str, name: str = "a.csv") -> list[tuple[int, dict[str, Any]]]:
    path = folder / name
    path.write_bytes(content.encode())
    return [(number, row) for number, row in Table(path).rows() if not isinstance(row, Fault)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_that_of_the_header(delimiter: str, tmp_path: Path) -> None:
    lines = [["id", "text", "entities"], ["1", '"a, b; c"', "[]"], ["", "", ""], ["2", "d", ""]]
    content = "\n".join(delimiter.join(cells) for cells in lines)
    [(first, one), (last, other)] = rows(tmp_path, content)
    assert (first, last) == (2, 4)
    assert (one["text"], one["entities"]) == ("a, b; c", [])
    assert (other["text"], other["entities"]) == ("d", None)


def test_a_cell_may_hold_newlines(tmp_path: Path) -> None:
    [(_, row)] = rows(tmp_path, 'text,lang\n"a\nb",en\n')
    assert row == {"text": "a\nb", "lang": "en"}


def test_tokens_of_a_row_each_are_gathered(tmp_path: Path) -> None:
    content = "Sentence #,Word,Tag\ns1,Anna,B-PER\n,left,O\ns2,Oslo,B-LOC\n"
    gathered = rows(tmp_path, content)
    assert [row for _, row in gathered] == [
        {"Sentence #": "s1", "Word": ["Anna", "left"], "Tag": ["B-PER", "O"]},
        {"Sentence #": "s2", "Word": ["Oslo"], "Tag": ["B-LOC"]},
    ]
    assert [number for number, _ in gathered] == [2, 4]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "the table is empty"),
        ("text,text\na,b\n", "a.csv:1: column 'text' is given twice"),
        ("text,lang\na,b,c\n", "a.csv:2: 3 cells, the header has 2; put cells that hold ','"),
        ('text,lang\n"a"x,b\n', "no table of cells separated by ','"),
        ("Word,Tag\nAnna,B-PER\n", "one token a row, and no column says which post it is of"),
        ("id,Word,Tag\n1,Anna,B-PER\n1,left,\n", "a.csv:3: token 'left' has no tag in column 'Tag'"),
    ],
)
def test_what_is_no_table(content: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=reason):
        rows(tmp_path, content)


def test_a_file_that_is_no_workbook(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be read as Excel|needs openpyxl"):
        rows(tmp_path, "no workbook", "a.xlsx")
