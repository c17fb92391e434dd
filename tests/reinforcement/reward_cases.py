"""Posts and predictions for the tests of rewards: made by hand, or drawn by Hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from instruct_mner.schema.records import Box, Entity, Example, PredictedEntity, Prediction, Rejected

TEXT = "Ann met Bo in Rome"
PICTURES = ("a.jpg", "b.jpg")
LEFT, RIGHT = (0, 0, 100, 100), (200, 0, 300, 100)
LEFT_HALF = (0, 0, 100, 50)


def boxed(*boxes: tuple[int, int, int, int]) -> tuple[Box, ...]:
    """Boxes on the first picture."""
    return tuple(Box(box=box) for box in boxes)


def fields(surface: str, label: str, boxes: tuple[Box, ...] | None = ()) -> dict[str, Any]:
    """The first occurrence of a surface as an entity."""
    start = TEXT.index(surface)
    return {"start": start, "end": start + len(surface), "text": surface, "label": label, "boxes": boxes}


def post_of(*entities: tuple[Any, ...]) -> Example:
    """A gold post; entities as ``(surface, label)`` or ``(surface, label, boxes)``."""
    return Example(id="1", text=TEXT, images=PICTURES, entities=tuple(Entity(**fields(*each)) for each in entities))


def prediction_of(*entities: tuple[Any, ...], **rejected: int) -> Prediction:
    """A prediction; entities as in ``post_of``."""
    predicted = tuple(PredictedEntity(**fields(*each)) for each in entities)
    return Prediction(id="1", text=TEXT, images=PICTURES, entities=predicted, rejected=Rejected(**rejected))


def as_gold(post: Example) -> Prediction:
    """The prediction that says what gold says; of several boxes the last."""
    entities = [PredictedEntity(**{**dict(each), "boxes": each.boxes and each.boxes[-1:]}) for each in post.gold]
    return Prediction(id=post.id, text=post.text, images=post.images, entities=tuple(entities))


_WORDS = TEXT.split(" ")
_REGIONS = st.lists(st.sampled_from([LEFT, LEFT_HALF, RIGHT, (50, 50, 150, 150), (0, 0, 7, 3)]), unique=True)


@st.composite
def entity_fields(draw: st.DrawFn, most_boxes: int) -> list[dict[str, Any]]:
    """Flat entities of ``TEXT``, each of one or two words."""
    chosen = []
    end = 0
    for first in range(len(_WORDS)):
        surface = " ".join(_WORDS[first : first + draw(st.integers(0, 2))])
        start = len(" ".join([*_WORDS[:first], ""]))
        if surface and start >= end:
            boxes = tuple(Box(image=draw(st.integers(0, 1)), box=box) for box in draw(_REGIONS)[:most_boxes])
            end = start + len(surface)
            label = draw(st.sampled_from(["PER", "LOC"]))
            chosen.append({"start": start, "end": end, "text": surface, "label": label, "boxes": boxes})
    return chosen


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Example, Prediction]:
    """A post, and a prediction for it that is often near to gold."""
    gold = draw(entity_fields(most_boxes=3))
    near = [each for each in gold if draw(st.booleans())]
    near = [
        {**each, "boxes": each["boxes"][:1], "label": draw(st.sampled_from(["PER", each["label"]]))} for each in near
    ]
    predicted = near if draw(st.booleans()) else draw(entity_fields(most_boxes=1))
    rejected = Rejected(malformed=draw(st.integers(0, 2)), hallucinated=draw(st.integers(0, 1)))
    example = Example(id="1", text=TEXT, images=PICTURES, entities=tuple(Entity(**each) for each in gold))
    entities = tuple(PredictedEntity(**each) for each in predicted)
    return example, Prediction(id="1", text=TEXT, images=PICTURES, entities=entities, rejected=rejected)
