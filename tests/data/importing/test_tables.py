"""Tables: delimiters, cells, tokens of a row each, and what is no table."""

from __future__ import annotations

import csv
import io
import re
from datetime import datetime, time
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from instruct_mner.data.importing.cells import read_cells
from instruct_mner.data.importing.posts import Fault
from instruct_mner.data.importing.row_groups import named
from instruct_mner.data.importing.tables import Table
from instruct_mner.data.importing.token_rows import TokenColumns, token_columns
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


# Without a lone carriage return, of which a file may consist alone, and without what programs write for nothing.
_TEXTS = st.text(st.sampled_from("ab\"'[]{},;|\t\n 1é"), min_size=1, max_size=12).map(
    lambda text: f"x{text}".replace("\n", "\r\n") if len(text) % 2 else f"{text}x"
)


@given(
    texts=st.lists(_TEXTS, min_size=1, max_size=5), delimiter=st.sampled_from(",;|"), quoting=st.sampled_from([0, 1])
)
def test_texts_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], delimiter: str, quoting: int
) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, quoting=quoting)  # type: ignore[arg-type]
    writer.writerows([["text", "lang", "id"], *([text, "en", f"[{number}]"] for number, text in enumerate(texts))])
    read = rows(tmp_path_factory.mktemp("table"), stream.getvalue())
    assert [(row["text"], row["id"]) for _, row in read] == [(text, f"[{n}]") for n, text in enumerate(texts)]


@given(texts=st.lists(_TEXTS, min_size=1, max_size=5))
def test_tabs_with_quoting_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    assume(not any("\t" in text for text in texts))
    stream = io.StringIO()
    csv.writer(stream, delimiter="\t").writerows([["text", "lang"], *([text, "en"] for text in texts)])
    read = rows(tmp_path_factory.mktemp("table"), stream.getvalue(), "a.tsv")
    assert [row["text"] for _, row in read] == texts


@given(texts=st.lists(st.text(st.sampled_from('ab" '), min_size=1).map("{}x".format), min_size=1, max_size=6))
def test_tabs_without_quoting_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    content = "text\tlang\n" + "".join(f"{text}\ten\n" for text in texts)
    read = rows(tmp_path_factory.mktemp("table"), content, "a.tsv")
    assert [row["text"] for _, row in read] == texts


def test_a_bare_quote_is_a_token_of_a_table_with_tabs(tmp_path: Path) -> None:
    lines = ["1\tAnna\tB-PER", '1\t"\tO', "1\tBob\tB-PER", '1\t"\tO', "2\tAl\tB-PER"]
    for last in (5, 3):  # an even and an odd number of quotes
        path = tmp_path / "a.tsv"
        path.write_text("\n".join(["sentence_id\tword\ttag", *lines[:last]]))
        table = Table(path)
        [first, *_] = [row for _, row in table.rows()]
        assert isinstance(first, dict)
        assert first["word"] == ["Anna", '"', "Bob", '"'][: last - 1 if last == 5 else last]
        assert "quotes are read as characters" in table.notes[0]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (
            "a.tsv",
            'id\ttext\n1\t"Al\n2\tCy"\n3\tx\ty\n',
            r"a.tsv:2: a cell begins with a quote and holds",
        ),
        ("a.csv", 'id,text\n1,"Al\n2,Cy"\n', r"a.csv:2: a cell begins with a quote and holds the rows below it, up to"),
        ("a.csv", 'id,word,tag\ns,",O\ns,Bob,B-PER\ns,",O\ns,Al,O\n', r"a.csv:2: token .* holds line breaks"),
        ("a.csv", 'id,text\n1,Al\n2,"Cy\n', r"a.csv:3: no table of cells.*each quote in it is written twice"),
        ("a.csv", "id,text\n1,Al\rCy\n", r"a.csv:2: no table of cells.*a carriage return stands in a cell that has no"),
    ],
)
def test_quotes_that_swallow_rows_are_refused(name: str, content: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=reason):
        rows(tmp_path, content, name)


def test_a_cell_of_two_lines_with_commas_is_a_text(tmp_path: Path) -> None:
    assert [row["text"] for _, row in rows(tmp_path, 'id,text\n1,"Hi Al, bye\nyes, Cy"\n')] == ["Hi Al, bye\nyes, Cy"]


def test_a_text_may_be_longer_than_the_limit_of_the_parser(tmp_path: Path) -> None:
    for long in ("x" * 200_000, "[" * 200_000):
        assert rows(tmp_path, f"id,text\n1,{long}\n") == [(2, {"id": "1", "text": long})]


def test_a_first_column_without_a_name_that_numbers_rows_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(",text,\n0,Anna,\n7,Bob,\n")
    book = openpyxl.Workbook()
    for line in ([None, "text"], [0, "Anna"], [7, "Bob"]):
        book.active.append(line)
    book.save(tmp_path / "a.xlsx")
    for name in ("a.csv", "a.xlsx"):
        table = Table(tmp_path / name)
        assert [row for _, row in table.rows()] == [{"text": "Anna"}, {"text": "Bob"}]
        assert any("left out, because it has no name and numbers the rows" in note for note in table.notes)


def test_cells_have_the_number_of_their_first_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'a,b\r\n1,"x\r\ny"\r\n\r\n2,z\r\n')
    kept = list(read_cells(tmp_path / "a.csv", []))
    assert kept == [(1, ["a", "b"]), (2, ["1", "x\r\ny"]), (5, ["2", "z"])]
    assert next(cells for number, cells in read_cells(tmp_path / "a.csv", [], newlines_alone=True) if number == 2) == [
        "1", "x\ny"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "chosen"),
    [
        ({"word": "Anna", "tag": "noun"}, {}),
        ({"word": "Anna"}, {}),
        ({"word": "Anna", "tag": "B-PER"}, {"text": ["word"]}),
        ({"word": "Anna", "tag": "B-PER"}, {"meta": ["tag"]}),
    ],
)
def test_other_tables_are_none_of_tokens(row: dict[str, str], chosen: dict[str, list[str]]) -> None:
    assert token_columns([row], chosen) is None
    assert token_columns([{"word": "Anna", "tag": "B-PER"}], {}) == TokenColumns(None, "word", "tag")


def test_a_column_is_chosen_by_the_user_else_by_its_name() -> None:
    row = {"Start": 1, "begin": 2, "mine": 3}
    assert named([row], ("start", "begin"), {}) == "Start"
    assert named([row], ("start", "begin"), {"meta": ["Start"]}) == "begin"
    assert named([row], ("start",), {"id": ["mine"]}, "id") == "mine"
    assert named([row], ("start",), {"id": ["absent"]}, "id") is None


def test_a_list_in_brackets_is_a_text_beside_texts_and_else_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text,entities\n"[1, 2]",[]\nAnna,"[[0,4,""X""]]"\n')
    assert [row for _, row in Table(path).rows()] == [
        {"text": "[1, 2]", "entities": []}, {"text": "Anna", "entities": [[0, 4, "X"]]}
    ]  # fmt: skip
    path.write_text("text\n\"['Anna', 'left']\"\n")
    [(_, lists)] = Table(path).rows()
    [(_, chosen)] = Table(path, {"text": ["text"]}).rows()
    assert (lists, chosen) == ({"text": ["Anna", "left"]}, {"text": "['Anna', 'left']"})


def test_tokens_that_look_like_lists_stay_as_they_are(tmp_path: Path) -> None:
    content = 'sentence_id,word,tag\n1,"[1,2]",O\n1,[],O\n1,"{""a"":1}",O\n1,Anna,B-PER\n'
    [(_, row)] = rows(tmp_path, content)
    assert row["word"] == ["[1,2]", "[]", '{"a":1}', "Anna"]


def test_further_columns_of_tokens_are_kept(tmp_path: Path) -> None:
    content = "sentence_id,word,tag,image,pos\n1,Anna,B-PER,a.jpg,NN\n1,left,O,,VB\n2,Bob,B-PER,b.jpg,NN\n"
    (tmp_path / "a.csv").write_text(content)
    table = Table(tmp_path / "a.csv")
    assert [row for _, row in table.rows()] == [
        {"sentence_id": "1", "word": ["Anna", "left"], "tag": ["B-PER", "O"], "image": "a.jpg", "pos": ["NN", "VB"]},
        {"sentence_id": "2", "word": ["Bob"], "tag": ["B-PER"], "image": "b.jpg", "pos": ["NN"]},
    ]
    assert table.notes == [
        f"{tmp_path}/a.csv: columns that differ within a post are lists of an item for each row: pos"
    ]
    assert table.roles == {"id": "sentence_id", "tokens": "word", "tags": "tag"}


def test_the_user_may_name_the_columns_of_tokens(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,doc,word,tag,ner\n1,d,Anna,O,B-PER\n2,d,left,O,O\n")
    table = Table(tmp_path / "a.csv", {"tags": ["ner"], "id": ["doc"]})
    [(_, row)] = table.rows()
    assert row == {"doc": "d", "word": ["Anna", "left"], "ner": ["B-PER", "O"], "id": ["1", "2"], "tag": "O"}


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
        ("id,Word,Tag\n,Anna,B-PER\n1,left,O\n", "a.csv:2: column 'id' is empty, and no row above"),
        ("id,Word,Tag,img\n1,Anna,B-PER,a.jpg\n1,left,O,b.jpg\n", "a.csv:3: column 'img' names another picture"),
        (",text,\n0,a,b\n", "a.csv:2: cell 'b' stands in a column without a name"),
        ("sep=;\ntext;id\n", "a.csv:1: 'sep=' is a mark for Excel and no header"),
    ],
)
def test_what_is_no_table(content: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=reason):
        rows(tmp_path, content)


def test_a_file_that_is_no_workbook(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be read as Excel|needs openpyxl"):
        rows(tmp_path, "no workbook", "a.xlsx")


def test_a_formula_without_a_value_is_named(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for line in (["id", "text"], [1, "Anna"], [2, None], [3, "=SUM(1,2)"]):
        book.active.append(line)
    book.save(tmp_path / "a.xlsx")
    with pytest.raises(DataError, match=r"a\.xlsx:4: cell B4 is a formula without a value \('=SUM\(1,2\)'\); open the"):
        list(Table(tmp_path / "a.xlsx").rows())


def sheet(path: Path, *rows: list[Any], formats: dict[str, str] | None = None) -> Path:
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    for row in rows:
        page.append(row)
    for cell, form in (formats or {}).items():
        page[cell].number_format = form
    book.save(path)
    return path


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (0.05, "0%"),
        (1, "0%"),
        (5, "000"),
        (1.5, "General"),
        (True, "General"),
        (datetime(2024, 1, 2), "d.m.yyyy"),
        (time(12, 30), "hh:mm"),
    ],
)  # fmt: skip
def test_words_that_excel_holds_as_values_are_refused_with_their_cell(value: Any, form: str, tmp_path: Path) -> None:
    tokens = sheet(
        tmp_path / "a.xlsx", ["sentence_id", "word", "tag"], [1, "in", "O"], [1, value, "O"], formats={"B3": form}
    )
    with pytest.raises(DataError, match=r"a\.xlsx:3: cell B3 holds .* no text, and is shown otherwise .* as text"):
        list(Table(tokens).rows())
    mentions = sheet(
        tmp_path / "b.xlsx",
        ["text", "mention", "type"],
        ["in 2024", 2024, "DATE"],
        ["x", value, "DATE"],
        formats={"B3": form},
    )
    with pytest.raises(DataError, match=r"b\.xlsx:3: cell B3 holds"):
        list(Table(mentions).rows())


def test_whole_numbers_and_values_of_other_columns_are_read(tmp_path: Path) -> None:
    tokens = sheet(tmp_path / "a.xlsx", ["sentence_id", "word", "tag", "day"], [1, 2024, "O", datetime(2024, 1, 2)])
    [(_, row)] = Table(tokens).rows()
    assert isinstance(row, dict)
    assert (row["word"], row["day"]) == (["2024"], datetime(2024, 1, 2))


@pytest.mark.parametrize("error", ["#NAME?", "#REF!", "#N/A"])
def test_errors_of_a_spreadsheet_are_refused(error: str, tmp_path: Path) -> None:
    for name, rows_of in (
        ("a", [["text"], ["fine"], [error]]),
        ("b", [["text", "note"], ["fine", 1], ["left", error]]),
    ):
        path = sheet(tmp_path / f"{name}.xlsx", *rows_of)
        with pytest.raises(
            DataError, match=rf"{name}\.xlsx:3: cell [AB]3 shows the error {re.escape(error)}, as where"
        ):
            list(Table(path).rows())
    with pytest.raises(DataError, match="is an error of a spreadsheet"):
        rows(tmp_path, f"sentence_id,word,tag\n1,in,O\n1,{error},O\n")


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ('"text, original";label', ["text, original", "label"]),
        ('"a, b"', ["a, b"]),
        ('"one\ntwo, three, four";b', ["one\ntwo, three, four", "b"]),
        ('size 5";b', ['size 5"', "b"]),
    ],
)
def test_separators_in_quotes_are_none(header: str, names: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"{header}\n")
    assert next(read_cells(tmp_path / "a.csv", []))[1] == names
