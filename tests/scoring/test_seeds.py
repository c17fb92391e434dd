"""Arms over several seeds: means, spread, and differences under resampling."""

from __future__ import annotations

import numpy as np
import pytest

from instruct_mner.scoring.bootstrap import compare, intervals
from instruct_mner.scoring.counts import Tally
from instruct_mner.scoring.seeds import compare_arms
from instruct_mner.scoring.systems import holm


def tally(right: float, seed: int, num_posts: int = 200) -> Tally:
    """Posts of two entities each, a share of which is right."""
    drawn = np.random.default_rng(seed).binomial(2, right, size=num_posts)
    two = np.full(num_posts, 2)
    return Tally(drawn, two, two)


def test_one_run_of_each_arm_is_the_paired_bootstrap() -> None:
    first, second = tally(0.6, 1), tally(0.7, 2)
    scores = compare_arms({"a": {0: first}, "b": {0: second}}, num_resamples=500)
    [difference] = compare([first], [second], num_resamples=500)
    against = scores["b"].against_first
    assert against is not None
    assert (against.difference, against.low, against.high, against.p_value) == pytest.approx(
        (difference.difference, difference.low, difference.high, difference.p_value)
    )
    [interval] = intervals([first], num_resamples=500)
    assert (scores["a"].low, scores["a"].high) == pytest.approx((interval.low, interval.high))
    assert scores["a"].deviation is None


def test_the_interval_holds_the_spread_of_seeds_too() -> None:
    alike = compare_arms({"a": {seed: tally(0.6, 1) for seed in range(3)}}, num_resamples=500)["a"]
    apart = compare_arms({"a": {seed: tally(0.4 + 0.2 * seed, 1) for seed in range(3)}}, num_resamples=500)["a"]
    assert alike.deviation == 0
    assert apart.high - apart.low > 2 * (alike.high - alike.low)
    assert apart.mean == pytest.approx(np.mean(apart.values))


def test_p_values_are_adjusted_over_all_arms_but_the_first() -> None:
    arms = {name: {0: tally(right, at)} for at, (name, right) in enumerate({"a": 0.5, "b": 0.9, "c": 0.5}.items())}
    scores = compare_arms(arms, num_resamples=500)
    raw = [scores[name].against_first for name in ("b", "c")]
    assert all(each is not None for each in raw)
    assert [each.adjusted_p_value for each in raw if each] == holm([each.p_value for each in raw if each])
    assert scores["a"].against_first is None


def test_an_arm_against_itself_is_no_difference() -> None:
    runs = {seed: tally(0.6, seed) for seed in range(3)}
    against = compare_arms({"a": runs, "b": dict(runs)}, num_resamples=200)["b"].against_first
    assert against is not None
    assert (against.difference, against.low, against.high, against.p_value) == (0, 0, 0, 1)


def test_draws_without_a_rare_type_say_nothing_of_its_score() -> None:
    right = np.zeros(40, int)
    right[3] = 1
    rare = Tally(right, right, right)
    score = compare_arms({"a": {0: rare, 1: rare}}, num_resamples=500)["a"]
    [alone] = intervals([rare], num_resamples=500)
    assert (score.low, score.high) == (alone.low, alone.high) == (1.0, 1.0)
    nothing = Tally(right * 0, right * 0, right * 0)
    never = compare_arms({"a": {0: nothing}}, num_resamples=50)["a"]
    assert (never.low, never.high) == (0.0, 0.0)
