from __future__ import annotations

import pytest
from hypothesis import given
from reward_cases import LEFT, as_gold, boxed, pairs, post_of, prediction_of

from instruct_mner.reinforcement.rewards.spans import spans
from instruct_mner.schema.records import Example, Prediction

GOLD = post_of(("Ann", "PER", boxed(LEFT)), ("Bo", "PER"), ("Rome", "LOC"))


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        (as_gold(GOLD), 1.0),
        (prediction_of(("Ann", "LOC"), ("Bo", "LOC", boxed(LEFT)), ("Rome", "PER")), 1.0),  # places alone
        (prediction_of(("Ann", "PER"), ("Bo", "PER")), 0.8),  # 2 · 2 / (2 + 3)
        (prediction_of(("Ann", "PER"), ("met", "PER")), 0.4),  # 2 · 1 / (2 + 3)
        (prediction_of(("Ann", "PER"), ("met Bo", "PER")), 0.4),  # another span is no match
        (prediction_of(("Ann", "PER"), malformed=1, hallucinated=1), 2 / 6),  # 2 · 1 / (3 + 3)
        (prediction_of(("Ann", "PER"), ("Bo", "PER"), ("Rome", "LOC"), unplaceable=2), 0.75),  # 2 · 3 / (5 + 3)
        (prediction_of(), 0.0),
    ],
)
def test_numbers_worked_by_hand(prediction: Prediction, expected: float) -> None:
    assert spans(GOLD, prediction) == expected


def test_where_there_is_nothing_to_name_nothing_is_right() -> None:
    assert spans(post_of(), prediction_of()) == 1.0
    assert spans(post_of(), prediction_of(malformed=1)) == 0.0
    assert spans(post_of(), prediction_of(("Ann", "PER"))) == 0.0


def test_a_post_that_is_not_annotated_is_refused() -> None:
    with pytest.raises(ValueError, match="not annotated"):
        spans(GOLD.model_copy(update={"entities": None}), prediction_of())


@given(pairs())
def test_leaving_out_a_right_entity_lowers_and_leaving_out_a_wrong_one_does_not(
    case: tuple[Example, Prediction],
) -> None:
    post, prediction = case
    right = {(entity.start, entity.end) for entity in post.gold}
    for left_out in prediction.entities:
        fewer = tuple(entity for entity in prediction.entities if entity != left_out)
        shorter = spans(post, prediction.model_copy(update={"entities": fewer}))
        if (left_out.start, left_out.end) in right:
            assert shorter < spans(post, prediction)
        else:
            assert shorter >= spans(post, prediction)


@given(pairs())
def test_leaving_out_an_entity_of_the_gold_lowers(case: tuple[Example, Prediction]) -> None:
    post, _ = case
    whole = as_gold(post)
    for left_out in whole.entities:
        fewer = tuple(entity for entity in whole.entities if entity != left_out)
        assert spans(post, whole.model_copy(update={"entities": fewer})) < 1.0
