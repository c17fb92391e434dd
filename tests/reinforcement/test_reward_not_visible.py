from __future__ import annotations

import pytest
from hypothesis import given
from reward_cases import LEFT, as_gold, boxed, pairs, post_of, prediction_of

from instruct_mner.reinforcement.rewards.boxes import boxes
from instruct_mner.reinforcement.rewards.not_visible import not_visible
from instruct_mner.reinforcement.rewards.spans import spans
from instruct_mner.schema.records import Box, Example, Prediction

GOLD = post_of(("Ann", "PER", boxed(LEFT)), ("Bo", "PER", ()), ("Rome", "LOC", ()))


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        (as_gold(GOLD), 1.0),
        (prediction_of(("Bo", "LOC", ()), ("Rome", "PER", ())), 1.0),  # types, and what is visible, are of no matter
        (prediction_of(("Bo", "PER", ()), ("Rome", "LOC", boxed(LEFT))), 2 / 3),  # 2 · 1 / (1 + 2)
        (prediction_of(("Ann", "PER", ()), ("Bo", "PER", ()), ("Rome", "LOC", ())), 0.8),  # 2 · 2 / (3 + 2)
        (prediction_of(("Bo", "PER", ()), ("in Rome", "LOC", ())), 0.5),  # 2 · 1 / (2 + 2)
        (prediction_of(("Bo", "PER", ()), ("Rome", "LOC", ()), hallucinated=2), 1.0),  # rejected items are no entities
        (prediction_of(("Ann", "PER", boxed(LEFT))), 0.0),
        (prediction_of(), 0.0),
    ],
)
def test_numbers_worked_by_hand(prediction: Prediction, expected: float) -> None:
    assert not_visible(GOLD, prediction) == expected


def test_where_all_is_visible_nothing_is_left_to_name() -> None:
    post = post_of(("Ann", "PER", boxed(LEFT)))
    assert not_visible(post, prediction_of(("Ann", "PER", boxed(LEFT)))) == 1.0
    assert not_visible(post, prediction_of()) == 1.0
    assert not_visible(post, prediction_of(("Ann", "PER", ()))) == 0.0


@pytest.mark.parametrize("absent", [(), None])
def test_boxes_that_are_not_annotated_are_taken_for_not_visible(absent: tuple[Box, ...] | None) -> None:
    assert not_visible(post_of(("Ann", "PER", None)), prediction_of(("Ann", "PER", absent))) == 1.0
    assert not_visible(post_of(("Ann", "PER", absent)), prediction_of(("Ann", "PER", None))) == 1.0


@given(pairs())
def test_right_spans_with_right_boxes_leave_right_what_is_not_visible(case: tuple[Example, Prediction]) -> None:
    post, prediction = case
    if spans(post, prediction) == boxes(post, prediction) == 1.0:
        assert not_visible(post, prediction) == 1.0
