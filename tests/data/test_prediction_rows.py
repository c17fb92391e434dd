"""Rows of predictions are completed only where they are no predictions as they stand."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from instruct_mner.data.lenient import RepeatedKeyError
from instruct_mner.data.prediction_rows import prediction_of, prediction_of_line

BOX = {"image": 0, "box": [1, 2, 3, 4]}
ENTITY = {"start": 0, "end": 4, "text": "Anna", "label": "PER", "boxes": [BOX]}
ROW = {"id": 7, "text": "Anna left", "images": ["own.jpg"], "entities": [ENTITY]}


def images_of(identifier: str) -> tuple[str, ...]:
    return ("gold.jpg",) if identifier == "7" else ()


def test_a_row_and_its_line_are_the_same_prediction() -> None:
    short = {**ROW, "entities": [{key: value for key, value in ENTITY.items() if key != "text"}], "windows": None}
    for row in (ROW, short, {**ROW, "images": []}, {**ROW, "images": None}):
        made = prediction_of(row, images_of)
        assert made == prediction_of_line(json.dumps(row), images_of)
        assert made.entities == prediction_of(ROW).entities
        assert made.images == (("own.jpg",) if row["images"] else ("gold.jpg",))


def test_a_row_that_is_right_keeps_its_pictures() -> None:
    row = {**ROW, "images": [], "entities": []}
    assert prediction_of(row, images_of).images == ()


def test_what_is_wrong_stays_wrong() -> None:
    with pytest.raises(ValidationError, match="the post has 0 picture"):
        prediction_of({**ROW, "id": 8, "images": []}, images_of)
    with pytest.raises(RepeatedKeyError, match="'id' is given twice"):
        prediction_of_line('{"id": 1, "id": 2, "text": "", "entities": []}')
    for line in ("[1]", "{"):
        with pytest.raises(ValidationError):
            prediction_of_line(line)
