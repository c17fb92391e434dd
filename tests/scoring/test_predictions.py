"""Files of predictions that lack what follows from the gold or from the rest of the row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from scoring_cases import ANNA, NOTHING

from instruct_mner.data.dataset import Dataset
from instruct_mner.errors import DataError
from instruct_mner.schema.records import Box, Example, Prediction
from instruct_mner.scoring.files import GoldSource
from instruct_mner.scoring.predictions import read_predictions

POSTS = (ANNA, NOTHING)


def write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def spans(predictions: Sequence[Prediction]) -> list[tuple[str, list[tuple[int, int, str]]]]:
    return [(each.id, [(e.start, e.end, e.label) for e in each.entities]) for each in predictions]


@pytest.mark.parametrize("lacking", ["text of entities", "id", "text"])
@pytest.mark.parametrize("name", ["a.parquet", "A.PARQUET", "A.JSONL"])
def test_a_table_of_parquet_may_lack_what_lines_may_lack(lacking: str, name: str, tmp_path: Path) -> None:
    named = {} if lacking == "text of entities" else {"text": "Anna"}
    rows: list[dict[str, Any]] = [
        {"id": "a", "text": ANNA.text, "entities": [{"start": 0, "end": 4, "label": "PER", **named}]},
        {"id": "b", "text": NOTHING.text, "entities": []},
    ]
    rows = [{key: value for key, value in row.items() if key != lacking} for row in rows]
    path = tmp_path / name
    if path.suffix == ".JSONL":
        write_lines(path, rows)
    else:
        parquet.write_table(pa.Table.from_pylist(rows), path)
    gold = Dataset(name="gold", format="jsonl", path=Path("gold.jsonl"), sha256="", examples=POSTS)
    assert spans(GoldSource(data="gold.jsonl").predictions(path, gold)) == [("a", [(0, 4, "PER")]), ("b", [])]


def test_a_table_of_parquet_without_entities_is_refused_as_lines_are(tmp_path: Path) -> None:
    parquet.write_table(pa.Table.from_pylist([{"id": "a", "text": ANNA.text}]), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet:1: entities: is needed; \[\] says that there is none"):
        read_predictions(tmp_path / "a.parquet", POSTS)


@pytest.mark.parametrize("images", [{}, {"images": None}, {"images": []}])
def test_boxes_of_a_post_without_pictures_are_on_those_of_the_gold(images: dict[str, Any], tmp_path: Path) -> None:
    boxes = [{"image": 0, "box": [10, 10, 50, 50]}]
    row = {
        "id": "a",
        "text": ANNA.text,
        "entities": [{"text": "Anna", "label": "PER", "start": 0, "end": 4, "boxes": boxes}],
        **images,
    }
    path = tmp_path / "a.jsonl"
    write_lines(path, [row, {"id": "b", "text": NOTHING.text, "entities": []}])
    seen = ANNA.model_copy(update={"images": ("a.jpg",)})
    first, second = read_predictions(path, (seen, NOTHING))
    assert (first.images, first.entities[0].boxes) == (("a.jpg",), (Box(box=(10, 10, 50, 50)),))
    assert second.images == ()
    with pytest.raises(DataError, match=r"post has 0 picture.*; name its pictures in 'images', or take the box"):
        read_predictions(path, POSTS)


@pytest.mark.parametrize(
    "table",
    [
        "id,text,start,end,label,score\na,Anna flew to Oslo,0,4,PER,0.5\n",
        "text,start,end,label,score\nAnna flew to Oslo,0,4,PER,0.5\n",
        # Ids that are not those of the gold, and other blanks.
        "id,text,mention,type,score\n7,Anna  flew to Oslo,Anna,PER,0.5\n",
    ],
)
def test_posts_that_a_table_of_mentions_does_not_hold_have_none(
    table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(table)
    read = read_predictions(path, (NOTHING, ANNA, ANNA.model_copy(update={"id": "c", "text": "Anna"})))
    assert sorted(spans(read)) == [("a", [(0, 4, "PER")]), ("b", []), ("c", [])]
    told = f"{path}: 2 of the 3 posts of the gold stand in none of its rows, the first is 'b'; they are scored as posts"
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("table", "posts"),
    [
        # Rows without a mention are written for posts without one.
        ("id,text,start,end,label\na,Anna flew to Oslo,0,4,PER\nb,nothing to see,,,\n", (*POSTS, POSTS[0])),
        # Each post stands there.
        ("id,text,start,end,label\na,Anna flew to Oslo,0,4,PER\n", POSTS[:1]),
        # One post a row.
        ('id,text,entities\na,Anna flew to Oslo,"[[0, 4, ""PER""]]"\n', POSTS),
    ],
)
def test_no_other_table_is_completed(
    table: str, posts: Sequence[Example], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.csv").write_text(table)
    assert spans(read_predictions(tmp_path / "a.csv", posts))[:1] == [("a", [(0, 4, "PER")])]
    assert "stand in none of its rows" not in capsys.readouterr().err


@pytest.mark.parametrize("header", ["", "IMGID:{}\n"])
def test_columns_of_other_blanks_are_moved_to_the_text_of_the_gold(header: str, tmp_path: Path) -> None:
    posts = (Example(id="1", text="Insta gram's Anna", entities=()), Example(id="2", text="no", entities=()))
    words = ["Instagram B-ORG", "' O", "s O", "An B-PER", "na I-PER"]
    rows = [header.format(1) + "\n".join(words), header.format(2) + "no O"]
    path = tmp_path / "a.conll"
    path.write_text("\n\n".join(rows).replace(" ", "\t") + "\n")
    assert spans(read_predictions(path, posts)) == [("1", [(0, 10, "ORG"), (13, 17, "PER")]), ("2", [])]


@pytest.mark.parametrize("table", ["id,start,end,label\na,0,4,PER\n", "id,mention,type,score\na,Anna,PER,0.5\n"])
def test_a_table_of_mentions_without_texts_says_what_to_add(table: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(table)
    with pytest.raises(DataError, match=r"a\.csv: one mention a row needs the text of its post, .* a column 'text'$"):
        read_predictions(tmp_path / "a.csv", POSTS)


def test_a_table_of_mentions_of_other_posts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text,start,end,label\na,Anna flew to Oslo,0,4,PER\nz,Anna,0,4,PER\n")
    with pytest.raises(DataError, match=r"its ids are not those of the gold.*\n.*1 row.*: 'z'"):
        read_predictions(tmp_path / "a.csv", POSTS[:1])
