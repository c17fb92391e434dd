"""Temperature, shift, ECE and Brier score against plain loops, and on made-up confidences whose scaling is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instruct_mner.errors import DataError
from instruct_mner.schema.records import Entity, Example, PredictedEntity, Prediction, Rejected
from instruct_mner.scoring.calibration import Judged, Scaling, bins_of, fit_scaling, judge, measure


def made_up(temperature: float, shift: float = 0.0, *, num: int = 20_000, seed: int = 0) -> Judged:
    """Entities that are right with the chance that the scaling gives their score."""
    draw = np.random.default_rng(seed)
    scores = 1 / (1 + np.exp(-draw.normal(1.5, 1.5, num)))
    chance = 1 / (1 + np.exp(-np.log(scores / (1 - scores)) / temperature - shift))
    right = (draw.random(num) < chance).astype(float)
    return Judged(np.arange(num) // 2, scores, right, num // 2 + 3)


def loop_ece(scores: list[float], right: list[int], num_bins: int = 15) -> float:
    bins: dict[int, list[int]] = {}
    for index, score in enumerate(scores):
        smaller = sum(other < score for other in scores)
        bins.setdefault(num_bins * smaller // len(scores), []).append(index)
    ece = 0.0
    for members in bins.values():
        confidence = sum(scores[index] for index in members) / len(members)
        accuracy = sum(right[index] for index in members) / len(members)
        ece += len(members) / len(scores) * abs(accuracy - confidence)
    return ece


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 1), st.integers(0, 4)), min_size=1, max_size=60))
def test_ece_and_brier_are_those_of_plain_loops(rows) -> None:
    scores, right = [score / 20 for score, _, _ in rows], [hit for _, hit, _ in rows]
    judged = Judged(np.array([post for _, _, post in rows]), np.array(scores), np.array(right, dtype=float), 5)
    found = measure(judged, num_resamples=20)
    assert found.ece.value == pytest.approx(loop_ece(scores, right), abs=1e-12)
    brier = sum((score - hit) ** 2 for score, hit in zip(scores, right, strict=True)) / len(rows)
    assert found.brier.value == pytest.approx(brier, abs=1e-12)
    assert found.mass.sum() == len(rows)


def test_bins_have_equal_mass_and_do_not_part_equals() -> None:
    distinct = np.random.default_rng(0).permutation(150) / 150
    assert np.bincount(bins_of(distinct)).tolist() == [10] * 15
    assert bins_of(np.array([0.9] * 40 + [0.1] * 20)).tolist() == [5] * 40 + [0] * 20


@pytest.mark.parametrize(("temperature", "shift"), [(0.5, 0.0), (1.0, 0.0), (2.5, 0.0), (2.2, -0.5), (1.0, 0.7)])
def test_the_scaling_is_recovered(temperature: float, shift: float) -> None:
    judged = made_up(temperature, shift)
    fitted = fit_scaling(judged)
    assert fitted.temperature == pytest.approx(temperature, rel=0.1)
    assert fitted.shift == pytest.approx(shift, abs=0.1)
    before, after = measure(judged, num_resamples=200), measure(judged.with_scaling(fitted), num_resamples=200)
    assert after.ece.value < 0.02
    assert after.brier.value <= before.brier.value + 1e-4
    if (temperature, shift) != (1.0, 0.0):
        assert before.ece.value > 0.05


def test_no_other_scaling_is_likelier() -> None:
    judged = made_up(1.7, -0.4, num=400)

    def likelihood(scaling: Scaling) -> float:
        chance = scaling.apply(judged.scores)
        return sum(math.log(p if hit else 1 - p) for p, hit in zip(chance, judged.right, strict=True))

    best = fit_scaling(judged)
    for step in (-0.5, -0.1, -1e-3, 1e-3, 0.1, 1.0):
        assert likelihood(best) >= likelihood(replace(best, temperature=best.temperature * (1 + step)))
        assert likelihood(best) >= likelihood(replace(best, shift=best.shift + step))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20), st.floats(0.05, 20), st.floats(-5, 5))
def test_order_and_range_stay(scores: list[float], temperature: float, shift: float) -> None:
    ordered = Scaling(temperature=temperature, shift=shift).apply(np.array(sorted(scores)))
    assert (np.diff(ordered) >= 0).all()
    assert ((ordered >= 0) & (ordered <= 1)).all()
    assert Scaling().apply_to(scores[0]) == scores[0]


@pytest.mark.parametrize(
    ("scores", "right", "message"),
    [
        ([], [], "no entity was predicted"),
        ([0.9, 0.4], [1, 1], "all 2 predicted entities are right"),
        ([0.9, 0.4], [0, 0], "all 2 predicted entities are wrong"),
        ([0.9, 0.8, 0.2], [0, 0, 1], "say nothing of being right"),
        ([0.9, 0.8, 0.2], [1, 1, 0], "no temperature is too low"),
        ([1.0, 1.0, 1.0], [1, 1, 0], "--no-scores"),
    ],
)
def test_what_cannot_be_fitted(scores, right, message) -> None:
    with pytest.raises(DataError, match=message):
        fit_scaling(Judged(np.zeros(len(scores), int), np.array(scores), np.array(right, float), 2))


def test_intervals_are_over_posts() -> None:
    """Entities that are copies of one another within a post say no more than one of them."""
    one = made_up(2.0, num=300)
    alone = Judged(np.arange(300), one.scores, one.right, 300)
    copied = Judged(np.repeat(np.arange(300), 9), np.repeat(one.scores, 9), np.repeat(one.right, 9), 300)
    widths = [
        found.brier.interval.high - found.brier.interval.low
        for found in (measure(alone, num_resamples=2000), measure(copied, num_resamples=2000))
    ]
    assert widths[1] == pytest.approx(widths[0], rel=1e-6)
    found = measure(alone, num_resamples=2000).brier
    assert found.interval.low < found.value < found.interval.high


def test_right_is_start_end_and_label() -> None:
    text = "Ann met Bob"
    gold = Example(id="1", text=text, entities=(Entity(start=0, end=3, text="Ann", label="PER"),))
    said = Prediction(
        id="1",
        text=text,
        entities=(
            PredictedEntity(start=0, end=3, text="Ann", label="PER", score=0.7),
            PredictedEntity(start=8, end=11, text="Bob", label="PER", score=0.4),
        ),
        rejected=Rejected(malformed=3),
    )
    judged = judge([(gold, said), (gold, Prediction(id="1", text=text))])
    assert judged.scores.tolist() == [0.7, 0.4]
    assert judged.right.tolist() == [1, 0]
    assert judged.num_posts == 2
    other = Entity(start=0, end=3, text="Ann", label="ORG")
    assert judge([(gold.model_copy(update={"entities": (other,)}), said)]).right.tolist() == [0, 0]


def test_where_the_surer_ones_are_wrong_a_shift_is_fitted_if_it_is_likelier() -> None:
    right = np.array([1, 1, *[0] * 14], float)
    judged = Judged(np.arange(16), np.linspace(0.4, 0.48, 16), right, 16)
    fitted = fit_scaling(judged)
    assert fitted.temperature == 1.0
    assert fitted.shift < -0.5

    def likelihood(scaling: Scaling) -> float:
        chance = scaling.apply(judged.scores)
        return sum(math.log(p if hit else 1 - p) for p, hit in zip(chance, judged.right, strict=True))

    for step in (-0.1, -1e-3, 1e-3, 0.1):
        assert likelihood(fitted) > likelihood(replace(fitted, shift=fitted.shift + step))
    for temperature in (0.5, 1.0, 2.0, 5.0, 50.0):
        assert likelihood(fitted) > likelihood(Scaling(temperature=temperature))
    assert measure(judged.with_scaling(fitted)).brier.value < measure(judged).brier.value
