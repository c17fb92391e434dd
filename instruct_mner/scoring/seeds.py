"""Arms with several runs each: mean over seeds, its spread, and differences under resampling of seeds and posts."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from instruct_mner.scoring.bootstrap import DEFAULT_NUM_RESAMPLES, FloatArray, resample_f1
from instruct_mner.scoring.counts import Tally
from instruct_mner.scoring.systems import holm

_TAILS = (0.025, 0.975)


@dataclass(frozen=True, kw_only=True)
class ArmDifference:
    """Mean F1 of an arm less that of the first arm.

    Attributes:
        difference: Difference in -1..1; above 0 the arm is better.
        low: 2.5th percentile of the resampled differences.
        high: 97.5th percentile.
        p_value: Two-sided p-value, in 0..1.
        adjusted_p_value: p-value after Holm, over all arms but the first.
    """

    difference: float
    low: float
    high: float
    p_value: float
    adjusted_p_value: float


@dataclass(frozen=True, kw_only=True)
class ArmScore:
    """F1 of an arm over its runs.

    Attributes:
        values: F1 of each run, in 0..1.
        low: 2.5th percentile of the resampled means.
        high: 97.5th percentile.
        against_first: Difference to the first arm; ``None`` for that one.
    """

    values: tuple[float, ...]
    low: float
    high: float
    against_first: ArmDifference | None

    @property
    def mean(self) -> float:
        """Mean over the runs."""
        return statistics.mean(self.values)

    @property
    def deviation(self) -> float | None:
        """Standard deviation over the runs; ``None`` of a single one."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None


def compare_arms(
    arms: Mapping[str, Mapping[int, Tally]], *, seed: int = 0, num_resamples: int = DEFAULT_NUM_RESAMPLES
) -> dict[str, ArmScore]:
    """Return the score of each arm, with intervals, and its difference to the first.

    A hierarchical bootstrap: posts are drawn, the same for all runs, and seeds are drawn, the same for arms with the
    same seeds, whose runs share data order and initial weights. The p-value is that of :func:`~.bootstrap.compare`.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 8 (resampling of nested units); Holm,
    https://www.jstor.org/stable/4615733 (the adjustment).

    Args:
        arms: Counts ``(posts,)`` of each run of an arm, by its seed; of the same posts in the same order.
        seed: Seed of the draws.
        num_resamples: Number of draws.
    """
    runs = [(arm, number) for arm, by_seed in arms.items() for number in by_seed]
    drawn = resample_f1([arms[arm][number] for arm, number in runs], seed=seed, num_resamples=num_resamples)
    # A draw with nothing to score moves no arm, and says nothing of an arm's own score: a rare type is often missing.
    samples, is_scored = np.nan_to_num(drawn), ~np.isnan(drawn).any(axis=1)
    generator = np.random.default_rng([seed, 1])
    weights: dict[tuple[int, ...], FloatArray] = {}
    means: dict[str, FloatArray] = {}
    for arm, by_seed in arms.items():
        seeds = tuple(by_seed)
        if seeds not in weights:
            even = np.full(len(seeds), 1 / len(seeds))
            weights[seeds] = generator.multinomial(len(seeds), even, size=num_resamples) / len(seeds)
        columns = [column for column, (name, _) in enumerate(runs) if name == arm]
        means[arm] = (samples[:, columns] * weights[seeds]).sum(axis=1)
    first, *others = arms
    raw = [_p_value(means[arm] - means[first]) for arm in others]
    adjusted = dict(zip(others, zip(raw, holm(raw), strict=True), strict=True))
    return {
        arm: ArmScore(
            values=_values(by_seed),
            low=_quantile(means[arm][is_scored], _TAILS[0]),
            high=_quantile(means[arm][is_scored], _TAILS[1]),
            against_first=None
            if arm == first
            else _difference(means[arm] - means[first], _values(by_seed), _values(arms[first]), *adjusted[arm]),
        )
        for arm, by_seed in arms.items()
    }


def _quantile(samples: FloatArray, share: float) -> float:
    return float(np.quantile(samples, share)) if samples.size else 0.0


def _values(by_seed: Mapping[int, Tally]) -> tuple[float, ...]:
    return tuple(tally.score.f1 for tally in by_seed.values())


def _p_value(moved: FloatArray) -> float:
    smaller = min(int((moved <= 0).sum()), int((moved >= 0).sum()))
    return min(1.0, 2 * (smaller + 1) / (len(moved) + 1))


def _difference(
    moved: FloatArray, values: Sequence[float], first: Sequence[float], p_value: float, adjusted: float
) -> ArmDifference:
    low, high = np.quantile(moved, _TAILS)
    return ArmDifference(
        difference=statistics.mean(values) - statistics.mean(first),
        low=float(low),
        high=float(high),
        p_value=p_value,
        adjusted_p_value=adjusted,
    )
