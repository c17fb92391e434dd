"""Predicted boxes beside their pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from instruct_mner.data.dataset import Dataset
from instruct_mner.schema.records import Box, Entity, Example, PredictedEntity, Prediction
from instruct_mner.scoring.files import GoldSource
from instruct_mner.scoring.outside_boxes import note_on_boxes
from instruct_mner.tagging.annotated_posts import evaluate

TEXT = "Anna left"
RIGHT = (10, 10, 50, 50)


def gold(*images: str) -> Example:
    entity = Entity(start=0, end=4, text="Anna", label="PER", boxes=(Box(box=RIGHT),))
    return Example(id="1", text=TEXT, images=images, entities=(entity,))


def predicted(*box: float, image: int = 0) -> Prediction:
    entity = PredictedEntity(start=0, end=4, text="Anna", label="PER", boxes=(Box(image=image, box=box),))
    return Prediction(id="1", text=TEXT, images=("x.png",) * 3, entities=(entity,))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (120, 80)).save(tmp_path / "a.png")
    Image.new("RGB", (300, 300)).save(tmp_path / "b.png")
    (tmp_path / "broken.png").write_text("no picture")
    return tmp_path


def test_a_box_that_lies_outside_is_told(folder: Path) -> None:
    assert note_on_boxes([predicted(10, 10, 5000, 5000)], [gold("a.png")], folder) == (
        "1 of 1 predicted boxes lie outside of their pictures, the first is [10, 10, 5000, 5000] of 'Anna' in post '1',"
        " whose picture a.png has 120 x 80 pixels; boxes are pixels of the original picture, upright: scale them to it"
    )
    assert note_on_boxes([predicted(0, 0, 200, 200, image=1)], [gold("a.png", "b.png")], folder) is None
    assert note_on_boxes([predicted(0, 0, 120.5, 80.5)], [gold("a.png")], folder) is None


def test_pictures_that_are_not_there_tell_nothing(folder: Path) -> None:
    outside = [predicted(10, 10, 5000, 5000, image=0)]
    for images in (("c.png",), ("broken.png",)):
        assert note_on_boxes(outside, [gold(*images)], folder) is None
    assert note_on_boxes(outside, [gold("a.png")], None) is None
    assert note_on_boxes([predicted(0, 0, 900, 900, image=2)], [gold("a.png")], folder) is None


def test_every_door_tells_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = folder / "said.jsonl"
    said.write_text(predicted(10, 10, 5000, 5000).model_dump_json() + "\n")
    told = "1 of 1 predicted boxes lie outside of their pictures"
    dataset = Dataset(
        name="a", format="jsonl", path=folder / "a.jsonl", sha256="", examples=(gold("a.png"),), image_root=folder
    )
    GoldSource(data="a.jsonl").predictions(said, dataset)
    assert f"{said}: {told}" in capsys.readouterr().err
    evaluate([gold(str(folder / "a.png"))], [predicted(10, 10, 5000, 5000)], num_resamples=10)
    assert f"predictions: {told}" in capsys.readouterr().err
