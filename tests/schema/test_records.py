from __future__ import annotations

import pytest
from pydantic import ValidationError

from instruct_mner.schema.labels import Label, LabelSet
from instruct_mner.schema.records import Box, Entity, Example, PredictedEntity, Prediction, Rejected

ANN = Entity(start=0, end=3, text="Ann", label="PER")
BOB = Entity(start=8, end=11, text="Bob", label="PER")


@pytest.mark.parametrize(
    "box",
    [
        (5, 0, 5, 9),
        (6, 0, 5, 9),
        (0, 9, 5, 9),
        (-1, 0, 5, 9),
        (0, 0, float("inf"), 9),
        (0, 0, float("nan"), 9),
    ],
)
def test_boxes_that_are_none(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValidationError, match=r"is not \[x0, y0, x1, y1\]|not finite"):
        Box(box=box)


def test_a_box() -> None:
    assert Box(box=(1, 2, 4, 6)).area == 12.0
    with pytest.raises(ValidationError):
        Box(image=-1, box=(1, 2, 4, 6))


@pytest.mark.parametrize("wrong", [{"start": False}, {"end": True, "text": "A"}, {"score": True}])
def test_a_flag_is_no_number(wrong: dict[str, object]) -> None:
    sound = {"start": 0, "end": 3, "text": "Ann", "label": "PER", "score": 0.5}
    assert PredictedEntity.model_validate(sound).score == 0.5
    with pytest.raises(ValidationError, match="valid number"):
        PredictedEntity.model_validate({**sound, **wrong})
    with pytest.raises(ValidationError, match="valid number"):
        Box.model_validate({"box": [False, 0, True, 1]})
    with pytest.raises(ValidationError, match="valid number"):
        Rejected.model_validate({"malformed": True})


@pytest.mark.parametrize(("start", "end", "text"), [(3, 3, ""), (4, 3, "a"), (0, 2, "Ann"), (-1, 2, "Ann")])
def test_entities_whose_offsets_cannot_be(start: int, end: int, text: str) -> None:
    with pytest.raises(ValidationError):
        Entity(start=start, end=end, text=text, label="PER")


def test_records_are_frozen_and_closed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        ANN.label = "LOC"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        Example.model_validate({"id": "1", "text": "Ann", "txt": "Ann"})


def test_entities_are_put_in_text_order() -> None:
    example = Example(id="1", text="Ann met Bob", entities=(BOB, ANN))
    assert example.gold == (ANN, BOB)
    raw = Example.model_validate({"id": 1, "text": "Ann met Bob", "entities": [BOB.model_dump(), ANN.model_dump()]})
    assert raw == example


@pytest.mark.parametrize(
    ("entities", "reason"),
    [
        ([ANN.model_copy(update={"text": "Bob"})], "does not stand there: the text has 'Ann'"),
        ([ANN, Entity(start=2, end=5, text="n m", label="X")], "overlaps the one before it"),
        ([ANN, ANN], "overlaps the one before it"),
        ([Entity(start=8, end=12, text="Bob.", label="X")], "does not stand there"),
        ([ANN.model_copy(update={"boxes": (Box(image=1, box=(0, 0, 1, 1)),)})], "the post has 1 picture"),
    ],
)
def test_gold_that_does_not_fit_its_post(entities: list[Entity], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Example(id="1", text="Ann met Bob", images=("a.jpg",), entities=tuple(entities))


def test_entities_may_touch() -> None:
    touching = Entity(start=3, end=7, text=" met", label="X")
    assert len(Example(id="1", text="Ann met Bob", entities=(ANN, touching)).gold) == 2


def test_not_annotated_is_not_empty() -> None:
    assert Example(id="1", text="", entities=()).gold == ()
    with pytest.raises(ValueError, match="post '1' is not annotated"):
        _ = Example(id="1", text="").gold


def test_without_images_there_are_no_boxes() -> None:
    boxed = ANN.model_copy(update={"boxes": (Box(box=(0, 0, 1, 1)),)})
    plain = Example(id="1", text="Ann", images=("a.jpg",), entities=(boxed,)).without_images()
    assert plain == Example(id="1", text="Ann", entities=(ANN,))
    assert Example(id="1", text="Ann", images=("a.jpg",)).without_images().entities is None


def test_predictions_have_one_box_and_a_score() -> None:
    box = Box(box=(0, 0, 1, 1))
    entity = PredictedEntity(start=0, end=3, text="Ann", label="PER", boxes=(box,), score=0.5)
    assert Prediction(id="1", text="Ann", images=("a.jpg",), entities=(entity,)).rejected.total == 0
    with pytest.raises(ValidationError, match="at most 1"):
        PredictedEntity(start=0, end=3, text="Ann", label="PER", boxes=(box, box))
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        PredictedEntity(start=0, end=3, text="Ann", label="PER", score=1.5)
    assert Rejected(malformed=1, hallucinated=2, unplaceable=3).total == 6


@pytest.mark.parametrize("name", ["", " PER", "PER ", "a: b", "a\nb", "a\u2028b", "a\x00b"])
def test_labels_that_an_answer_could_not_hold(name: str) -> None:
    with pytest.raises(ValidationError):
        Label(name=name)


def test_label_sets() -> None:
    plain = LabelSet.of(["PER", "person of note", "a:b"])
    defined = LabelSet.of({"PER": "People.", "LOC": None})
    assert plain.names == ("PER", "person of note", "a:b")
    assert (plain.defined, defined.defined) == (False, True)
    assert "LOC" in defined
    assert len(defined) == 2
    assert [label.definition for label in defined.each()] == ["People.", None]
    for labels in (plain, defined):
        assert LabelSet.model_validate_json(labels.model_dump_json()) == labels
    with pytest.raises(ValidationError, match=r"given twice: PER"):
        LabelSet.of(["PER", "LOC", "PER"])
    with pytest.raises(ValidationError):
        LabelSet.of([])
