"""Tables of one mention a row."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instruct_mner.data.importing.mention_rows import mention_columns
from instruct_mner.data.importing.run import import_file
from instruct_mner.data.importing.tables import Table
from instruct_mner.data.importing.writing import ImportOptions
from instruct_mner.data.jsonl import rows as posts_of
from instruct_mner.errors import DataError
from instruct_mner.schema.records import Example

_WORDS = st.lists(st.sampled_from(["Anna", "met", "Bo", "in", "Oslo"]), min_size=1, max_size=6)


@st.composite
def _table(draw: st.DrawFn) -> list[tuple[str, list[tuple[int, int, str]]]]:
    posts = []
    for number in range(draw(st.integers(1, 4))):
        words = [f"p{number}", *draw(_WORDS)]
        text = " ".join(words)
        chosen = sorted(draw(st.sets(st.integers(0, len(words) - 1), max_size=3)))
        places = [sum(len(word) + 1 for word in words[:at]) for at in chosen]
        spans = [(at, at + len(words[index]), draw(st.sampled_from(["PER", "LOC"]))) for at, index in
                 zip(places, chosen, strict=True)]  # fmt: skip
        posts.append((text, spans))
    return posts


@given(posts=_table(), names=st.sampled_from([("start", "end", "label"), ("begin", "stop", "type")]))
def test_a_table_of_offsets_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    posts: list[tuple[str, list[tuple[int, int, str]]]],
    names: tuple[str, ...],
) -> None:
    if not any(spans for _, spans in posts):
        return
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(["id", "text", *names])
    for number, (text, spans) in enumerate(posts):
        writer.writerows([number, text, *span] for span in spans)
        if not spans:
            writer.writerow([number, text, "", "", ""])
    folder = tmp_path_factory.mktemp("table")
    (folder / "a.csv").write_text(stream.getvalue())
    done = import_file(str(folder / "a.csv"), folder / "a.jsonl", ImportOptions())
    assert any("read one mention a row, its type from" in note for note in done.notes)
    read = [row.example for row in posts_of(folder / "a.jsonl")]
    assert [(post.text, [(e.start, e.end, e.label) for e in post.gold]) for post in read if post is not None] == posts


def test_a_mention_may_be_given_by_its_words(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,mention,type\nAnna met Bo,Anna,PER\nAnna met Bo,Bo,PER\nnobody,,\n")
    [(first, one), (last, other)] = Table(tmp_path / "a.csv").rows()
    assert (first, last) == (2, 4)
    assert one == {
        "text": "Anna met Bo", "entities": [{"label": "PER", "text": "Anna"}, {"label": "PER", "text": "Bo"}]
    }  # fmt: skip
    assert other == {"text": "nobody", "entities": []}


def test_a_mention_may_be_a_number(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in (["text", "mention", "type"], ["Oslo in 2024", 2024, "DATE"], ["Oslo in 2025", 2025, "DATE"]):
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    rows = [row for _, row in Table(tmp_path / "a.xlsx").rows() if isinstance(row, dict)]
    assert [row["entities"] for row in rows] == [[{"label": "DATE", "text": year}] for year in ("2024", "2025")]


def imported(folder: Path, content: str, *columns: str) -> tuple[list[Example], list[str]]:
    (folder / "a.csv").write_text(content)
    notes = import_file(str(folder / "a.csv"), folder / "a.jsonl", ImportOptions(columns=columns)).notes
    posts = [row.example for row in posts_of(folder / "a.jsonl") if row.example is not None]
    (folder / "a.jsonl").unlink()
    return posts, notes


@pytest.mark.parametrize("head", ["", "Unnamed: 0", "index", "wikidata", "score"])
def test_columns_of_the_mention_part_no_post(head: str, tmp_path: Path) -> None:
    content = f"{head},text,start,end,label\n3,Anna met Bo,9,11,PER\n1,Anna met Bo,0,4,PER\n2,Bo,0,2,PER\n"
    posts, notes = imported(tmp_path, content)
    assert [[each.text for each in post.gold] for post in posts] == [["Anna", "Bo"], ["Bo"]]
    carried = {} if head in {"", "Unnamed: 0"} else {head: ["1", "3"]}
    assert posts[0].meta == (carried or None)
    assert any("lists of an item for each row" in note for note in notes) == bool(carried)


def test_posts_are_told_by_id_where_there_is_one_and_else_by_text(tmp_path: Path) -> None:
    content = (
        "id,text,start,end,label,score\n1,Anna met Bo,0,4,PER,0.9\n1,Anna met Bo,9,11,PER,0.8\n"
        "2,Anna met Bo,0,4,PER,0.5\n3,nothing,,,,\n"
    )
    posts, _ = imported(tmp_path, content)
    assert [(post.id, len(post.gold), post.meta) for post in posts] == [
        ("1", 2, {"score": ["0.9", "0.8"]}), ("2", 1, {"score": ["0.5"]}), ("3", 0, None)
    ]  # fmt: skip
    content = content.replace("2,Anna met Bo,0,4,PER,0.5\n", "")
    posts, _ = imported(tmp_path, content, "meta=id")
    assert [(post.text, len(post.gold), (post.meta or {})["id"]) for post in posts] == [
        ("Anna met Bo", 2, "1"), ("nothing", 0, "3")
    ]  # fmt: skip


def test_an_id_of_each_row_of_a_text_is_asked_about(tmp_path: Path) -> None:
    content = "id,text,start,end,label\n1,Anna met Bo,0,4,PER\n2,Anna met Bo,9,11,PER\n"
    with pytest.raises(DataError, match=r"a.csv:3: each row has another 'id'.*--column id=id .*--column meta=id"):
        imported(tmp_path, content)
    assert [post.id for post in imported(tmp_path, content, "id=id")[0]] == ["1", "2"]
    [post] = imported(tmp_path, content, "meta=id")[0]
    assert (len(post.gold), post.meta) == (2, {"id": ["1", "2"]})


@pytest.mark.parametrize("nothing", ["", "nan", "None"])
def test_offsets_may_be_floats_and_mentions_nothing(nothing: str, tmp_path: Path) -> None:
    none = ",".join([nothing] * 3)
    posts, _ = imported(tmp_path, f"text,start,end,label\nAnna met Bo,0.0,4.0,PER\nnobody,{none}\n")
    assert [[(each.start, each.end) for each in post.gold] for post in posts] == [[(0, 4)], []]


def test_wrong_mentions_are_told_with_their_rows(tmp_path: Path) -> None:
    content = "text,mention,type\nAnna met Bo,Anna,PER\nAnna met Bo,bo,PER\nBo met Al,Bo,PER\nBo met Al,al,PER\n"
    with pytest.raises(DataError) as error:
        imported(tmp_path, content)
    assert "a.csv:3: mention 'bo' does not stand in its text 'Anna met Bo'" in str(error.value)
    assert "a.csv:5: mention 'al' does not stand in its text" in str(error.value)
    with pytest.raises(DataError, match=r"a.csv:3: 'x' in column 'start' is no offset"):
        imported(tmp_path, "text,start,end,label\nAnna,0,4,PER\nBo,x,2,PER\n")


def test_a_mention_given_twice_is_told_with_its_row(tmp_path: Path) -> None:
    content = "text,start,end,label,date\nAnna,0,4,PER,1\nAnna,0,4,PER,2\n"
    with pytest.raises(DataError, match=r"a.csv:3: the mention stands in another row .* give each post an id"):
        imported(tmp_path, content)
    [post], _ = imported(tmp_path, "text,mention,label\nBo met Bo,Bo,PER\nBo met Bo,Bo,PER\n")
    assert [each.start for each in post.gold] == [0, 7]


def test_rows_of_a_post_have_one_picture(tmp_path: Path) -> None:
    content = "text,image,start,end,label\nAnna met Bo,a.jpg,0,4,PER\nAnna met Bo,b.jpg,9,11,PER\n"
    with pytest.raises(DataError, match=r"a.csv:3: column 'image' names another picture"):
        imported(tmp_path, content)
    [post] = imported(tmp_path, content.replace("b.jpg", "a.jpg"))[0]
    assert post.images == ("a.jpg",)


@pytest.mark.parametrize(
    "content",
    [
        "text,label\nso good,positive\n",
        "text,start,end,label\nspeech,0.5,1.7,PER\n",
        "text,entity,label\nAnna left,weather,topic\n",
        "text,start,end\nAnna,0,4\n",
    ],
)
def test_other_tables_stay_as_they_are(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(content)
    [(_, row)] = Table(tmp_path / "a.csv").rows()
    assert isinstance(row, dict)
    assert mention_columns([row], {}) is None
    assert list(row) == content.partition("\n")[0].split(",")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("text,start,end,label\na,0,1,X\nb,0,1,X\na,0,1,Y\n", r"a.csv:4: .*a post that ended above; sort the table"),
        ("text,start,end,label\na,0,1,X\nb,0,1,\n", r"a.csv:3: half a mention"),
        ("text,mention,label\na,a,X\nb,,Y\n", r"a.csv:3: half a mention"),
    ],
)
def test_a_table_that_cannot_be_gathered_is_refused(content: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(DataError, match=reason):
        import_file(str(tmp_path / "a.csv"), tmp_path / "a.jsonl", ImportOptions())
