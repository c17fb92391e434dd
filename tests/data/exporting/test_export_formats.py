"""Formats as they are written: what other programs find in the files."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image
from pyarrow import parquet

from instruct_mner.data.exporting import argilla, columns, pictures, tables, tool_rows
from instruct_mner.data.exporting.posts import ExportedPosts
from instruct_mner.data.exporting.targets import choose_target
from instruct_mner.errors import DataError
from instruct_mner.schema.records import Box, Entity, Example, PredictedEntity, Prediction

ANNA = Example(
    id="17",
    text="Anna met Eve",
    images=("pics/7.png",),
    entities=(
        Entity(start=0, end=4, text="Anna", label="PER", boxes=(Box(box=(10, 20, 60, 80)),)),
        Entity(start=9, end=12, text="Eve", label="PER", boxes=()),
    ),
    meta={"lang": "en"},
)


@pytest.fixture
def posts(tmp_path: Path) -> ExportedPosts:
    Image.new("L", (200, 100)).save(tmp_path / "7.png")
    return ExportedPosts("a/train", (ANNA,), {"pics/7.png": tmp_path / "7.png"})


def test_columns(posts: ExportedPosts) -> None:
    assert "".join(columns.write(posts)) == "IMGID:7.png\nAnna\tB-PER\nmet\tO\nEve\tB-PER\n\n"
    two = ExportedPosts("a", (ANNA, Example(id="18", text="b")), {})
    assert "".join(columns.write(two)).startswith("# id = 17\n")
    with pytest.raises(DataError, match="post '1' has no word"):
        "".join(columns.write(ExportedPosts("a", (Example(id="1", text=" "),), {})))


def test_csv(posts: ExportedPosts) -> None:
    [row] = csv.DictReader(io.StringIO("".join(tables.write_csv(posts))))
    assert (row["id"], row["text"], json.loads(row["images"])) == ("17", "Anna met Eve", ["pics/7.png"])
    assert json.loads(row["entities"])[1] == {"start": 9, "end": 12, "text": "Eve", "label": "PER", "boxes": []}


def test_parquet(posts: ExportedPosts, tmp_path: Path) -> None:
    tables.write_parquet(posts, tmp_path / "a.parquet")
    [row] = parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert row["entities"][0]["boxes"] == [{"image": 0, "box": [10.0, 20.0, 60.0, 80.0]}]
    assert (row["tokens"], row["meta"]) == (None, '{"lang": "en"}')


def test_rows_of_tools(posts: ExportedPosts) -> None:
    [row] = [json.loads(line) for line in tool_rows.doccano(posts)]
    assert row["label"] == [[0, 4, "PER"], [9, 12, "PER"]]
    assert json.loads("".join(tool_rows.spacy(posts))) == [
        ["Anna met Eve", {"entities": [[0, 4, "PER"], [9, 12, "PER"]]}]
    ]
    [chat] = json.loads("".join(tool_rows.sharegpt(posts)))
    human, gpt = (turn["value"] for turn in chat["conversations"])
    assert human.startswith("<image>List the named entities")
    assert human.endswith(f"{tool_rows.TEXT_AFTER}Anna met Eve")
    assert [each["text"] for each in json.loads(gpt)] == ["Anna", "Eve"]
    [task] = json.loads("".join(tool_rows.label_studio(posts)))
    [rectangle] = [each for each in task["annotations"][0]["result"] if each["type"] == "rectanglelabels"]
    assert [rectangle["value"][side] for side in ("x", "y", "width", "height")] == [5, 20, 25, 60]
    assert json.loads("".join(tool_rows.write_list(iter(())))) == []


def test_mentions_that_tokenizers_of_spacy_may_not_have_as_tokens_are_told(posts: ExportedPosts) -> None:
    cities = (
        Entity(start=start, end=end, text="我爱北京天安门"[start:end], label="LOC") for start, end in ((2, 4), (4, 7))
    )
    several = ExportedPosts("a", (ANNA, Example(id="19", text="我爱北京天安门", entities=tuple(cities))), {})
    note = choose_target(Path("a.json"), "spacy").note
    assert (note(several) or "").startswith("a: 2 mention(s) begin or end between two letters or digits: spaCy leaves")
    assert note(posts) is None


def test_records_of_argilla(posts: ExportedPosts) -> None:
    scored = PredictedEntity(start=2, end=6, text="Anna", label="PER", score=0.9)
    predicted = Prediction(id="18", text="\U0001f680 Anna", entities=(scored,))
    several = ExportedPosts("a", (ANNA, predicted, Example(id="19", text="b")), {})
    gold, model, plain = json.loads("".join(argilla.write(several)))
    assert gold["fields"] == {"text": "Anna met Eve", "image": "pics/7.png"}
    assert gold["metadata"] == {"lang": "en", "images": ["pics/7.png"]}
    assert gold["suggestions"]["entities"]["value"][1] == {"label": "PER", "start": 9, "end": 12}
    assert "score" not in gold["suggestions"]["entities"]
    # A list of the same length, which Argilla asks of questions with several values.
    assert model["suggestions"]["entities"]["score"] == [0.9]
    assert plain["suggestions"] == {}
    assert "a: 1 mention(s) stand after an emoji" in (argilla.shifted_note(several) or "")
    assert argilla.shifted_note(posts) is None


@pytest.mark.parametrize("images", [(), ("7.png",), ("7.png", "8.png")])
def test_meta_takes_no_field_of_the_post(images: tuple[str, ...]) -> None:
    meta = {"text": "T", "image": "m.png", "image_2": "n.png", "post_id": 3, "meta_text": 1, "images": ["o.png"]}
    posts = ExportedPosts("a", (ANNA.model_copy(update={"images": images, "meta": meta}),), {})
    [task] = json.loads("".join(tool_rows.label_studio(posts)))
    assert task["data"] == {
        "text": "Anna met Eve", "post_id": "17", **dict(zip(("image", "image_2"), images, strict=False)),
        "meta_meta_text": "T", "meta_image": "m.png", "meta_image_2": "n.png", "meta_post_id": 3, "meta_text": 1,
        "images": ["o.png"],
    }  # fmt: skip
    [record] = json.loads("".join(argilla.write(posts)))
    own = {"images": list(images)} if images else {}
    others = {name: value for name, value in meta.items() if name != "images"}
    assert record["metadata"] == {**others, "meta_images": ["o.png"], **own}


def test_what_depends_on_the_types_is_the_same_in_every_split(posts: ExportedPosts) -> None:
    train = replace(posts, other_labels=frozenset({"LOC", "PER"}))
    assert posts.labels() == ["PER"]
    [chat] = json.loads("".join(tool_rows.sharegpt(train)))
    assert "as JSON, with their types: LOC, PER.\n" in chat["conversations"][0]["value"]
    content = json.loads("".join(pictures.coco(train)))
    assert content["categories"] == [{"id": 1, "name": "LOC"}, {"id": 2, "name": "PER"}]
    assert [each["category_id"] for each in content["annotations"]] == [2]


def test_coco_and_voc(posts: ExportedPosts, tmp_path: Path) -> None:
    content = json.loads("".join(pictures.coco(posts)))
    assert [(each["width"], each["height"], each["file_name"]) for each in content["images"]] == [
        (200, 100, "pics/7.png")
    ]
    assert [(each["bbox"], each["area"]) for each in content["annotations"]] == [([10, 20, 50, 60], 3000)]
    pictures.write_voc({"train": posts}, tmp_path / "voc")
    tree = ElementTree.parse(tmp_path / "voc" / "xml" / "7.xml")
    assert [tree.findtext(path) for path in ("size/width", "object/name", "object/bndbox/xmax")] == [
        "200",
        "Anna",
        "60",
    ]
    twice = {"train": posts, "dev": posts}
    with pytest.raises(DataError, match="is that of two posts, which VOC cannot say"):
        pictures.write_voc(twice, tmp_path / "twice")
