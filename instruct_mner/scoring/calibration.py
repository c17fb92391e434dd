"""Calibration of confidences: temperature and shift of the logit, ECE, Brier score.

A confidence is calibrated where, of the entities that bear 0.8, four in five are right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instruct_mner.errors import DataError
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.scoring.bootstrap import DEFAULT_NUM_RESAMPLES, Interval, draw_posts, interval_of
from instruct_mner.scoring.counts import IntArray

FloatArray = NDArray[np.float64]

NUM_BINS = 15

# A probability of exactly 0 or 1 has no logit; these are what float32 can still tell from them.
_SMALLEST_SCORE = 1e-7
_COLDEST, _HOTTEST = 1e-2, 1e2
_MOST_STEPS = 100
_SMALLEST_STEP = 1e-10


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """Change of confidences: ``sigmoid(logit(score) / temperature + shift)``.

    The order of scores stays, so that nothing that ranks by them changes.

    Source: Platt, Probabilistic Outputs for Support Vector Machines, 1999, with the logit as the output; with a shift
    of 0, the temperature of Guo et al., On Calibration of Modern Neural Networks, ICML 2017 (arXiv:1706.04599).

    Attributes:
        temperature: Divisor of the logit, above 0; above 1 it makes confidences more modest.
        shift: Number that is added to the logit; below 0 it makes all confidences lower.
    """

    temperature: float = 1.0
    shift: float = 0.0

    def apply(self, scores: FloatArray) -> FloatArray:
        """Return the scaled scores; without a change the scores themselves, to the last bit.

        Args:
            scores: Confidences in 0..1, of any shape.
        """
        if self == Scaling():
            return scores
        return _sigmoid(_logits(scores) / self.temperature + self.shift)

    def apply_to(self, score: float) -> float:
        """Return :meth:`apply` of one score."""
        return float(self.apply(np.array([score]))[0])


@dataclass(frozen=True, eq=False)
class Judged:
    """Predicted entities of annotated posts, as parallel arrays ``(entities,)``.

    Attributes:
        post: Index of the post of each.
        scores: Confidences of the entities, in 0..1.
        right: 1 where start, end and label are those of a gold entity, else 0.
        num_posts: Posts, those without any predicted entity among them.
    """

    post: IntArray
    scores: FloatArray
    right: FloatArray
    num_posts: int

    def with_scaling(self, scaling: Scaling) -> Judged:
        """Return the same entities with other confidences."""
        return Judged(self.post, scaling.apply(self.scores), self.right, self.num_posts)


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval over posts."""

    value: float
    interval: Interval

    def to_dict(self) -> dict[str, float]:
        """As JSON."""
        return {"value": self.value, "low": self.interval.low, "high": self.interval.high}


@dataclass(frozen=True, eq=False)
class Reliability:
    """Distance of confidences from the share that is right.

    Attributes:
        ece: Expected calibration error over bins of equal mass, in 0..1.
        brier: Mean squared difference of confidence and outcome, in 0..1.
        confidence: ``(bins,)``, mean confidence of each bin that holds anything.
        accuracy: ``(bins,)``, share of it that is right.
        mass: ``(bins,)``, number of its entities.
    """

    ece: Estimate
    brier: Estimate
    confidence: FloatArray
    accuracy: FloatArray
    mass: IntArray

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        bins = zip(self.confidence.tolist(), self.accuracy.tolist(), self.mass.tolist(), strict=True)
        return {
            "ece": self.ece.to_dict(),
            "brier": self.brier.to_dict(),
            "bins": [
                {"confidence": mean_confidence, "accuracy": right, "entities": mass}
                for mean_confidence, right, mass in bins
            ],
        }


def judge(pairs: Sequence[tuple[Example, Prediction]]) -> Judged:
    """Compare predicted entities with gold: right where start, end and label are equal.

    What the parser rejected has no confidence, and is not among them.

    Args:
        pairs: Annotated posts with their predictions, see :func:`~.spans.pair_posts`.
    """
    rows = []
    for number, (example, prediction) in enumerate(pairs):
        gold = {(entity.start, entity.end, entity.label) for entity in example.gold}
        rows += [
            (number, entity.score, (entity.start, entity.end, entity.label) in gold) for entity in prediction.entities
        ]
    return Judged(
        post=np.array([post for post, _, _ in rows], dtype=np.int64),
        scores=np.array([score for _, score, _ in rows], dtype=np.float64),
        right=np.array([right for _, _, right in rows], dtype=np.float64),
        num_posts=len(pairs),
    )


def _sigmoid(values: FloatArray) -> FloatArray:
    chance: FloatArray = np.exp(-np.logaddexp(0, -values))
    return chance


def _logits(scores: FloatArray) -> FloatArray:
    inner = np.clip(scores, _SMALLEST_SCORE, 1 - _SMALLEST_SCORE)
    logits: FloatArray = np.log(inner) - np.log1p(-inner)
    return logits


def fit_scaling(judged: Judged) -> Scaling:
    """Return the temperature and shift of largest likelihood.

    Where entities that are right are no surer than others by these two, a temperature alone is fitted, or a shift
    alone, whichever is likelier.

    Raises:
        DataError: There is nothing to fit: no entities, all of them right or all wrong, or confidences that say
            nothing of being right, or all of it.
    """
    _check_fit(judged)
    logits = _logits(judged.scores)
    both = _fit(np.stack([logits, np.ones(len(logits))], axis=1), judged.right)
    if 1 / _HOTTEST < both[0] < 1 / _COLDEST:
        return Scaling(temperature=float(1 / both[0]), shift=float(both[1]))
    sharpness = float(_fit(logits[:, None], judged.right)[0])
    if sharpness <= 1 / _HOTTEST:
        raise DataError(
            "nothing to fit: confidences say nothing of being right here (no more often above one half than below), so "
            "that no temperature makes them true; train longer, or leave them as they are"
        )
    if sharpness >= 1 / _COLDEST:
        raise DataError(
            "nothing to fit: confidence tells all right entities from all wrong ones, so that no temperature is too "
            "low; give more annotated posts"
        )
    shift = float(_fit(np.ones((len(logits), 1)), judged.right, known=logits)[0])
    if _loss(logits + shift, judged.right) < _loss(sharpness * logits, judged.right):
        return Scaling(shift=shift)
    return Scaling(temperature=1 / sharpness)


def _fit(inputs: FloatArray, right: FloatArray, known: FloatArray | float = 0.0) -> FloatArray:
    """Return the factors of a logistic regression, ``(inputs,)``.

    The negative log-likelihood is convex; its minimum is found by Newton's method, whose steps are halved until they go
    down. Where there is no minimum, the factor of the logit is large.

    Args:
        inputs: Inputs ``(entities, inputs)``; the first is the logit, unless that is known.
        right: 1 for what is right, ``(entities,)``.
        known: Part of the logit that is given, ``(entities,)``.
    """
    values = np.zeros(inputs.shape[1])
    values[0] = np.ndim(known) == 0
    for _ in range(_MOST_STEPS):
        chance = _sigmoid(inputs @ values + known)
        slope = inputs.T @ (chance - right)
        curvature = (inputs * (chance * (1 - chance))[:, None]).T @ inputs
        step = np.linalg.lstsq(curvature, slope, rcond=None)[0]
        before = _loss(inputs @ values + known, right)
        while _loss(inputs @ (values - step) + known, right) > before and np.abs(step).max() > _SMALLEST_STEP:
            step = step / 2
        values = values - step
        if np.abs(step).max() <= _SMALLEST_STEP or abs(values[0]) > 1 / _COLDEST:
            return values
    # What goes on growing has no minimum.
    return values * np.inf


def _loss(logits: FloatArray, right: FloatArray) -> float:
    """Return the negative log-likelihood."""
    return float((np.logaddexp(0, logits) - right * logits).sum())


def _check_fit(judged: Judged) -> None:
    num_entities, num_right = len(judged.scores), int(judged.right.sum())
    if num_entities == 0:
        raise DataError(f"nothing to fit: no entity was predicted in {judged.num_posts} post(s); give more posts")
    if num_right in {0, num_entities}:
        which = "wrong" if num_right == 0 else "right"
        raise DataError(
            f"nothing to fit: all {num_entities} predicted entities are {which}; give annotated posts on which the "
            "model is sometimes right and sometimes wrong, and that it was not trained on"
        )
    if np.ptp(judged.scores) == 0 and judged.scores[0] == 1:
        raise DataError("nothing to fit: all confidences are 1; are log-probabilities switched off (--no-scores)?")


def bins_of(scores: FloatArray, num_bins: int = NUM_BINS) -> IntArray:
    """Return the bin of each score, ``(entities,)``: bins of equal mass, but equal scores are never parted.

    Source: Nixon et al., Measuring Calibration in Deep Learning, CVPR workshops 2019 (arXiv:1904.01685): equal mass
    rather than equal width, because nearly all confidences lie near 1.
    """
    smaller = np.searchsorted(np.sort(scores), scores, side="left")
    return (num_bins * smaller // max(len(scores), 1)).astype(np.int64)


def measure(judged: Judged, *, seed: int = 0, num_resamples: int = DEFAULT_NUM_RESAMPLES) -> Reliability:
    """ECE and Brier score with their intervals, and the bins of the reliability plot.

    Posts are drawn with replacement; the bins are those of all posts in every draw. A resampled ECE is larger than the
    true one on average, as an ECE on few posts is: its interval lies somewhat high.

    Args:
        judged: At least one entity.
        seed: Seed of the draws.
        num_resamples: Number of draws.
    """
    bins = bins_of(judged.scores)
    gap = judged.right - judged.scores
    num = int(bins.max()) + 1
    # Sums of each post, (posts, bins) and (posts,): a draw is then a weighted sum of posts.
    gaps = np.zeros((judged.num_posts, num))
    np.add.at(gaps, (judged.post, bins), gap)
    squares = np.bincount(judged.post, gap**2, judged.num_posts).astype(np.float64)
    entities = np.bincount(judged.post, minlength=judged.num_posts).astype(np.float64)
    samples = _resampled(gaps, squares, entities, seed=seed, num_resamples=num_resamples)
    mass = np.bincount(bins, minlength=num)
    held = mass > 0
    total = len(gap)
    return Reliability(
        ece=Estimate(float(np.abs(gaps.sum(axis=0)).sum() / total), interval_of(samples[:, 0])),
        brier=Estimate(float((gap**2).mean()), interval_of(samples[:, 1])),
        confidence=np.bincount(bins, judged.scores, num)[held] / mass[held],
        accuracy=np.bincount(bins, judged.right, num)[held] / mass[held],
        mass=mass[held],
    )


def _resampled(
    gaps: FloatArray, squares: FloatArray, entities: FloatArray, *, seed: int, num_resamples: int
) -> FloatArray:
    """ECE and Brier score of each draw that holds an entity, ``(draws, 2)``."""
    num_posts = len(entities)
    chunks = []
    for drawn in draw_posts(num_posts, seed=seed, num_resamples=num_resamples):
        cells = drawn + num_posts * np.arange(len(drawn))[:, None]
        times = np.bincount(cells.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)
        below = times @ entities
        sums = np.stack([np.abs(times @ gaps).sum(axis=1), times @ squares], axis=1)
        chunks.append(sums[below > 0] / below[below > 0, None])
    return np.concatenate(chunks)
