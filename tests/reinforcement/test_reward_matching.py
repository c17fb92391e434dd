from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reward_cases import pairs, post_of, prediction_of

from instruct_mner.reinforcement.rewards.matching import count_items, matches, soft_f1
from instruct_mner.schema.records import Example, Prediction


def test_entities_match_by_start_and_end_whatever_their_types() -> None:
    post = post_of(("Ann", "PER"), ("Bo in Rome", "LOC"))
    prediction = prediction_of(("Ann", "LOC"), ("Bo", "PER"), ("Rome", "LOC"))
    assert [(gold.text, predicted.text) for gold, predicted in matches(post.gold, prediction.entities)] == [
        ("Ann", "Ann")
    ]


def test_rejected_items_are_counted() -> None:
    # 1 gold entity, 2 predicted ones, 1 + 2 + 3 rejected items
    prediction = prediction_of(("Ann", "PER"), ("Bo", "PER"), malformed=1, hallucinated=2, unplaceable=3)
    assert count_items(post_of(("Ann", "PER")), prediction) == 9


@pytest.mark.parametrize(
    ("values", "num_items", "expected"),
    [
        ([], 0, 1.0),  # nothing to name, and nothing named
        ([], 3, 0.0),
        ([1.0, 1.0], 4, 1.0),
        ([1.0, 0.5], 4, 0.75),  # 2 · 1.5 / 4
        ([1.0], 5, 0.4),  # precision 1/2, recall 1/3: 2 · 1/6 / (5/6)
    ],
)
def test_numbers_worked_by_hand(values: list[float], num_items: int, expected: float) -> None:
    assert soft_f1(values, num_items) == expected


@given(st.lists(st.floats(0, 1), max_size=20), st.integers(0, 20), st.integers(0, 20))
def test_the_f1_is_in_0_to_1_where_no_more_match_than_there_are_on_a_side(
    values: list[float], more_gold: int, more_predicted: int
) -> None:
    assert 0 <= soft_f1(values, 2 * len(values) + more_gold + more_predicted) <= 1


@given(pairs())
def test_matches_are_those_of_all_pairs_compared(case: tuple[Example, Prediction]) -> None:
    post, prediction = case
    compared = [
        (gold, predicted)
        for predicted in prediction.entities
        for gold in post.gold
        if (gold.start, gold.end) == (predicted.start, predicted.end)
    ]
    assert matches(post.gold, prediction.entities) == compared
