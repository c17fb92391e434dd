"""Tables of one mention a row."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instruct_mner.data.importing.mention_rows import mention_columns
from instruct_mner.data.importing.run import import_file
from instruct_mner.data.importing.tables import Table
from instruct_mner.data.importing.writing import ImportOptions
from instruct_mner.data.jsonl import rows as posts_of
from instruct_mner.errors import DataError

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
    assert mention_columns([row], {}) is None
    assert list(row) == content.partition("\n")[0].split(",")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("text,start,end,label\na,0,1,X\nb,0,1,X\na,0,1,Y\n", r"a.csv:4: .*a post that ended above; sort the table"),
        ("text,start,end,label\na,0,1,X\nb,0,1,\n", r"a.csv:3: half a mention"),
        ("text,mention,label\na,a,X\nb,,Y\n", r"no table of|half a mention|looks like labels"),
    ],
)
def test_a_table_that_cannot_be_gathered_is_refused(content: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(DataError, match=reason):
        import_file(str(tmp_path / "a.csv"), tmp_path / "a.jsonl", ImportOptions())
