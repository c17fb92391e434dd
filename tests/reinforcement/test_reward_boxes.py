from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from reward_cases import LEFT, LEFT_HALF, RIGHT, as_gold, boxed, pairs, post_of, prediction_of

from instruct_mner.reinforcement.rewards.boxes import boxes
from instruct_mner.schema.records import Box, Entity, Example, Prediction
from instruct_mner.scoring.triples import intersection_over_union

GOLD = post_of(("Ann", "PER", boxed(LEFT)), ("Bo", "PER", boxed(LEFT, RIGHT)), ("Rome", "LOC", ()))


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        (as_gold(GOLD), 1.0),
        # the second gold box is as good as the first, and the type is of no matter: 2 · 2 / (2 + 2)
        (prediction_of(("Ann", "LOC", boxed(LEFT)), ("Bo", "LOC", boxed(RIGHT))), 1.0),
        # half of the box: 2 · (0.5 + 1) / (2 + 2)
        (prediction_of(("Ann", "PER", boxed(LEFT_HALF)), ("Bo", "PER", boxed(LEFT))), 0.75),
        # the larger of the two overlaps, not their sum: 2 · 0.5 / (1 + 2)
        (prediction_of(("Bo", "PER", boxed(LEFT_HALF))), 1 / 3),
        # a box on something that is not visible: 2 · 2 / (3 + 2)
        (prediction_of(("Ann", "PER", boxed(LEFT)), ("Bo", "PER", boxed(LEFT)), ("Rome", "LOC", boxed(LEFT))), 0.8),
        # a box on a wrong span is worth nothing: 2 · 1 / (2 + 2)
        (prediction_of(("Ann", "PER", boxed(LEFT)), ("met Bo", "PER", boxed(LEFT))), 0.5),
        # "not visible" where there is something to see: 2 · 1 / (1 + 2)
        (prediction_of(("Ann", "PER", boxed(LEFT)), ("Bo", "PER", ())), 2 / 3),
        # rejected items have no box
        (prediction_of(("Ann", "PER", boxed(LEFT)), ("Bo", "PER", boxed(LEFT)), malformed=3), 1.0),
        # another picture: 2 · 0 / (1 + 2)
        (prediction_of(("Ann", "PER", (Box(image=1, box=LEFT),))), 0.0),
        (prediction_of(), 0.0),
    ],
)
def test_numbers_worked_by_hand(prediction: Prediction, expected: float) -> None:
    assert boxes(GOLD, prediction) == expected


@pytest.mark.parametrize("absent", [(), None])
def test_where_there_is_nothing_to_see_no_box_is_right(absent: tuple[Box, ...] | None) -> None:
    post = post_of(("Ann", "PER", absent))
    assert boxes(post, prediction_of(("Ann", "PER", absent))) == 1.0
    assert boxes(post, prediction_of()) == 1.0  # what was left out counts in the spans
    assert boxes(post, prediction_of(("Ann", "PER", boxed(LEFT)))) == 0.0


def value(gold: Entity, predicted: Entity) -> float:
    """The value of a pair in the assignment: nothing for two different spans."""
    if (gold.start, gold.end) != (predicted.start, predicted.end):
        return 0.0
    return max(intersection_over_union(box, other) for box in gold.boxes or () for other in predicted.boxes or ())


@given(pairs())
def test_matching_by_span_is_the_best_of_all_assignments(case: tuple[Example, Prediction]) -> None:
    post, prediction = case
    gold: list[Entity] = [entity for entity in post.gold if entity.boxes]
    predicted: list[Entity] = [entity for entity in prediction.entities if entity.boxes]
    shorter, longer = sorted((gold, predicted), key=len)
    best = max(
        sum(value(*pair) for pair in zip(shorter, order, strict=True)) for order in permutations(longer, len(shorter))
    )
    num_items = len(gold) + len(predicted)
    assert boxes(post, prediction) == pytest.approx(2 * best / num_items if num_items else 1.0)
