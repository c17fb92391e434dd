"""Intervals of a score under resampling of the posts, and paired comparison, by the bootstrap.

Whole posts are drawn with replacement, since the entities of one post are not independent. Only counts are
added up; nothing is scored again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instruct_mner.errors import ConfigError
from instruct_mner.scoring.counts import Score, Tally

FloatArray = NDArray[np.float64]

DEFAULT_NUM_RESAMPLES = 10_000
"""Draws of posts. At 1,000 each end of a 95 % interval moves by 4 % of the half-width from seed to seed
(standard deviation, for a normal score), and p cannot fall under 0.002; at 10,000 it is 1.4 % and 0.0002, and
all scores of a test set together take about a second."""

_LEVEL = 0.95
# Largest number of resamples, and of drawn posts, that are held at once.
_CHUNK = 256
_MOST_DRAWN = 1 << 21


@dataclass(frozen=True)
class Interval:
    """An interval that holds 95 % of the resampled scores.

    Attributes:
        low: 2.5th percentile.
        high: 97.5th percentile.
        standard_error: Standard deviation of the resampled scores.
    """

    low: float
    high: float
    standard_error: float


@dataclass(frozen=True)
class Measured:
    """A score and how far its F1 would move with other posts."""

    score: Score
    interval: Interval

    def to_dict(self) -> dict[str, float]:
        """As JSON: shares in 0..1, counts, and the 95 % interval of the F1."""
        score, interval = self.score, self.interval
        return {
            "precision": score.precision,
            "recall": score.recall,
            "f1": score.f1,
            "f1_standard_error": interval.standard_error,
            "f1_low": interval.low,
            "f1_high": interval.high,
            "correct": score.correct,
            "predicted": score.predicted,
            "gold": score.gold,
        }


@dataclass(frozen=True)
class Difference:
    """A second system's F1 less the first's, on the same posts.

    Attributes:
        difference: Difference in -1..1; above 0 the second is better.
        low: 2.5th percentile of the resampled differences.
        high: 97.5th percentile.
        p_value: Two-sided, in 0..1: how easily a difference of 0 would have come out.
    """

    difference: float
    low: float
    high: float
    p_value: float


def draw_posts(num_posts: int, *, seed: int, num_resamples: int) -> Iterator[NDArray[np.int64]]:
    """Yield drawn indices of posts, ``(resamples of a chunk, num_posts)``, ``num_resamples`` rows in all."""
    if num_resamples < 1:
        raise ConfigError(f"the number of resamples is {num_resamples}; it must be at least 1")
    generator = np.random.default_rng(seed)
    # The draws are one after another, however many are made at once.
    chunk = max(1, min(_CHUNK, _MOST_DRAWN // max(1, num_posts)))
    for first in range(0, num_resamples, chunk):
        yield generator.integers(num_posts, size=(min(chunk, num_resamples - first), num_posts))


def resample_f1(tallies: Sequence[Tally], *, seed: int, num_resamples: int) -> FloatArray:
    """F1 of resampled posts, the same draws for all tallies.

    Args:
        tallies: Counts ``(posts,)`` of the same posts in the same order.
        seed: Seed of the draws.
        num_resamples: Number of draws.

    Returns:
        ``(num_resamples, tallies)``, in 0..1; NaN where a draw holds nothing of a tally, neither gold nor predicted.
    """
    num_posts = len(tallies[0].correct)
    if num_posts == 0:
        return np.full((num_resamples, len(tallies)), np.nan)
    twice_correct = np.stack([2.0 * tally.correct for tally in tallies], axis=1)
    divisor = np.stack([(tally.predicted + tally.gold).astype(np.float64) for tally in tallies], axis=1)
    chunks = []
    for drawn in draw_posts(num_posts, seed=seed, num_resamples=num_resamples):
        # How often each post was drawn, (resamples, posts): sums over draws become one matrix product.
        cells = drawn + num_posts * np.arange(len(drawn))[:, None]
        times = np.bincount(cells.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)
        below = times @ divisor
        chunks.append(np.divide(times @ twice_correct, below, out=np.full_like(below, np.nan), where=below > 0))
    return np.concatenate(chunks)


def _ends(samples: FloatArray) -> FloatArray:
    tail = (1 - _LEVEL) / 2
    ends: FloatArray = np.quantile(samples, [tail, 1 - tail], axis=0)
    return ends


def intervals(tallies: Sequence[Tally], *, seed: int = 0, num_resamples: int = DEFAULT_NUM_RESAMPLES) -> list[Interval]:
    """Return the 95 % percentile interval and the standard error of the F1 of each tally.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 6 and 13.
    """
    if not tallies:
        return []
    samples = resample_f1(tallies, seed=seed, num_resamples=num_resamples)
    return [interval_of(column[~np.isnan(column)]) for column in samples.T]


def interval_of(samples: FloatArray) -> Interval:
    """Return the F1 of the draws in which there was something to score: a rare type is missing from many of them."""
    if samples.size == 0:
        return Interval(0.0, 0.0, 0.0)
    low, high = _ends(samples)
    return Interval(float(low), float(high), float(samples.std(ddof=1 if samples.size > 1 else 0)))


def compare(
    first: Sequence[Tally],
    second: Sequence[Tally],
    *,
    seed: int = 0,
    num_resamples: int = DEFAULT_NUM_RESAMPLES,
) -> list[Difference]:
    """Paired bootstrap: both systems on the same drawn posts, tally by tally.

    The p-value is twice the smaller share of differences on either side of 0, both counted with 0 itself,
    and with one draw added so that it is never 0; hence 1 for a system against itself.

    Source: Koehn, Statistical significance tests for machine translation evaluation, EMNLP 2004 (pairing);
    Davison and Hinkley, Bootstrap Methods and their Application, 1997, ch. 4 (the added draw).

    Args:
        first: Counts ``(posts,)`` of the first system.
        second: Those of the second, of the same scores and posts in the same order.
        seed: Seed of the draws.
        num_resamples: Number of draws.
    """
    if not first:
        return []
    # A draw with nothing to score moves neither system.
    samples = np.nan_to_num(resample_f1([*first, *second], seed=seed, num_resamples=num_resamples))
    moved = samples[:, len(first) :] - samples[:, : len(first)]
    smaller = np.minimum((moved <= 0).sum(axis=0), (moved >= 0).sum(axis=0))
    p_values = np.minimum(1.0, 2 * (smaller + 1) / (num_resamples + 1))
    return [
        Difference(after.score.f1 - before.score.f1, float(low), float(high), float(p))
        for before, after, low, high, p in zip(first, second, *_ends(moved), p_values, strict=True)
    ]
