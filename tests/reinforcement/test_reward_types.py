from __future__ import annotations

import pytest
from hypothesis import given
from reward_cases import as_gold, pairs, post_of, prediction_of

from instruct_mner.reinforcement.rewards.matching import matches
from instruct_mner.reinforcement.rewards.spans import spans
from instruct_mner.reinforcement.rewards.types import types
from instruct_mner.schema.records import Example, Prediction

GOLD = post_of(("Ann", "PER"), ("Bo", "PER"), ("Rome", "LOC"))


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        (as_gold(GOLD), 1.0),
        (prediction_of(("Ann", "PER"), ("Bo", "LOC"), ("Rome", "LOC")), 4 / 6),  # 2 · 2 / (3 + 3)
        (prediction_of(("Ann", "LOC"), ("Bo", "LOC"), ("Rome", "PER")), 0.0),
        (prediction_of(("Ann", "PER"), ("Bo", "PER")), 0.8),  # 2 · 2 / (2 + 3): leaving out does not pay
        (prediction_of(("Ann", "PER"), ("met", "PER"), ("Bo", "LOC")), 2 / 6),  # 2 · 1 / (3 + 3)
        (prediction_of(("Ann", "PER"), malformed=1, hallucinated=1, unplaceable=1), 2 / 7),  # 2 · 1 / (4 + 3)
        (prediction_of(), 0.0),
    ],
)
def test_numbers_worked_by_hand(prediction: Prediction, expected: float) -> None:
    assert types(GOLD, prediction) == expected


def test_where_there_is_nothing_to_name_nothing_is_right() -> None:
    assert types(post_of(), prediction_of()) == 1.0
    assert types(post_of(), prediction_of(("Ann", "PER"))) == 0.0


@given(pairs())
def test_at_most_that_of_spans_and_equal_where_every_type_is_right(case: tuple[Example, Prediction]) -> None:
    post, prediction = case
    every = all(gold.label == predicted.label for gold, predicted in matches(post.gold, prediction.entities))
    assert types(post, prediction) <= spans(post, prediction)
    assert (types(post, prediction) == spans(post, prediction)) is every
