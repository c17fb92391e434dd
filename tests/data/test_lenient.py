from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from instruct_mner.data.importing.run import import_file
from instruct_mner.data.importing.writing import ImportOptions
from instruct_mner.data.inclusive_ends import InclusiveEnds
from instruct_mner.data.lenient import RepeatedKeyError, completed, loads, nan_as_null
from instruct_mner.data.loading import load_split, read
from instruct_mner.errors import DataError
from instruct_mner.schema.records import Example
from instruct_mner.scoring.predictions import read_predictions

ENTITY = {"start": 0, "end": 4, "label": "PER"}
ROW = {"id": "1", "text": "Anna left"}


def one(tmp_path: Path, row: dict[str, Any]) -> Example:
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    [example] = load_split(str(tmp_path / "a.jsonl"), missing_image="keep").examples
    return example


def test_the_text_of_an_entity_is_filled(tmp_path: Path) -> None:
    assert one(tmp_path, {**ROW, "entities": [ENTITY]}).gold[0].text == "Anna"


@pytest.mark.parametrize(
    "more",
    [
        {"images": None, "context": {"caption": None, "tags": None, "ocr": None}},
        {"__index_level_0__": 3},
        {"Unnamed: 0": 3, "tokens": None},
        {"meta": None},
        {"context": None},
        {"entities": None},
        {"images": math.nan, "entities": math.nan, "context": math.nan},
        {"images": ""},
        {"images": [None, ""]},
        {"images": [""]},
    ],
)
def test_nulls_and_indices_are_left_out(tmp_path: Path, more: dict[str, Any]) -> None:
    example = one(tmp_path, {**ROW, **more})
    assert (example.images, example.meta, example.entities) == ((), None, None)


@pytest.mark.parametrize("images", ["a.png", ["a.png"], {"bytes": None, "path": "a.png"}, [{"path": "a.png"}]])
def test_pictures_as_others_write_them(tmp_path: Path, images: Any) -> None:
    assert one(tmp_path, {**ROW, "images": images}).images == ("a.png",)


def test_a_whole_number_beside_nulls_is_no_float(tmp_path: Path) -> None:
    assert one(tmp_path, {**ROW, "id": 7.0}).id == "7"
    with pytest.raises(DataError, match="id: expected"):
        one(tmp_path, {**ROW, "id": 7.5})


def test_boxes_that_are_nan_are_not_annotated_and_scores_that_are_nan_are_wrong(tmp_path: Path) -> None:
    row = {**ROW, "images": ["a.png"], "entities": [{**ENTITY, "text": "Anna", "boxes": math.nan}]}
    assert one(tmp_path, row).gold[0].boxes is None
    (tmp_path / "p.jsonl").write_text(json.dumps({**ROW, "entities": [{**ENTITY, "text": "Anna", "score": math.nan}]}))
    with pytest.raises(DataError, match="score"):
        read_predictions(tmp_path / "p.jsonl")


def test_an_import_takes_nan_for_nothing(tmp_path: Path) -> None:
    rows = [
        {**ROW, "images": math.nan, "lang": math.nan, "label": math.nan},
        {"id": "2", "text": "b", "images": "7.png"},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_file(str(tmp_path / "a.jsonl"), tmp_path / "out.jsonl", ImportOptions())
    assert nan_as_null({"images": math.nan, "n": 1}) == {"images": None, "n": 1}
    first, second = load_split(str(tmp_path / "out.jsonl"), missing_image="keep").examples
    assert (first.images, first.entities, second.images) == ((), None, ("7.png",))


def test_one_picture_is_a_list_of_one(tmp_path: Path) -> None:
    assert one(tmp_path, {**ROW, "images": "a.png"}).images == ("a.png",)


def test_null_boxes_are_not_annotated(tmp_path: Path) -> None:
    assert one(tmp_path, {**ROW, "entities": [{**ENTITY, "text": "Anna", "boxes": None}]}).gold[0].boxes is None


def test_meta_is_kept_as_it_is(tmp_path: Path) -> None:
    assert one(tmp_path, {**ROW, "images": None, "meta": {"a": None, "b": [1]}}).meta == {"a": None, "b": [1]}


@pytest.mark.parametrize(
    "line",
    ['{"id":"1","text":"a","text":"b"}', '{"id":"1","text":"a","context":{"ocr":"x","ocr":"y"}}',
     '{"id":"1","text":"Anna","entities":[{"start":0,"end":4,"end":4,"text":"Anna","label":"X"}]}'],
)  # fmt: skip
def test_keys_given_twice_are_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.jsonl").write_text(line + "\n")
    [reading] = read(str(tmp_path / "a.jsonl")).values()
    assert "is given twice in one object" in reading.problems[0]
    assert reading.dataset.examples == ()
    with pytest.raises(RepeatedKeyError):
        loads(line)


@pytest.mark.parametrize(
    ("tokens", "fits"),
    [
        (["Anna", "left"], True),
        (["Anna", "le", "ft"], True),
        (["Anna"], False),
        (["Anna", "right"], False),
        (["Anna", "left", "now"], False),
        (["left", "Anna"], False),
    ],
)
def test_tokens_must_be_those_of_the_text(tmp_path: Path, tokens: list[str], fits: bool) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({**ROW, "tokens": tokens}) + "\n")
    [reading] = read(str(tmp_path / "a.jsonl")).values()
    assert (reading.problems == ()) == fits
    assert fits or "token" in reading.problems[0]


def test_what_is_whole_stays() -> None:
    row = {**ROW, "entities": [{**ENTITY, "text": "Anna"}]}
    assert completed(row) == (row, 0)
    assert completed({**ROW, "entities": [ENTITY, {"start": 9, "end": 99}]})[1] == 1


def test_a_few_cut_words_are_no_inclusive_ends() -> None:
    ends = InclusiveEnds()
    text = "Anna left Oslo"
    for spans in (((0, 4), (10, 14)), ((0, 3),)):
        entities = [{"start": a, "end": b, "text": text[a:b], "label": "X"} for a, b in spans]
        ends.look_at(Example.model_validate({"id": "1", "text": text, "entities": entities}))
    assert ends.problems(Path("a")) == []
