"""Other ways to calibrate than the one of ``instruct-mner calibrate``, fitted and measured on the same posts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from instruct_mner.scoring.calibration import Judged, Scaling, judge, measure
from instruct_mner.scoring.pairing import Pairs

FloatArray = NDArray[np.float64]

_LEAST = 1e-7
_NUM_DRAWS = 200


@dataclass(frozen=True, eq=False)
class _Entities:
    """Predicted entities of annotated posts.

    Attributes:
        judged: Their confidences, and whether they are right.
        labels: Type of each, ``(entities,)``.
        lengths: Number of characters of each, ``(entities,)``.
    """

    judged: Judged
    labels: NDArray[np.str_]
    lengths: FloatArray

    @classmethod
    def of(cls, pairs: Pairs) -> _Entities:
        entities = [each for _, prediction in pairs for each in prediction.entities]
        return cls(
            judge(pairs),
            np.array([each.label for each in entities]),
            np.array([each.end - each.start for each in entities], dtype=np.float64),
        )

    @property
    def scores(self) -> FloatArray:
        return np.clip(self.judged.scores, _LEAST, 1 - _LEAST)

    @property
    def logits(self) -> FloatArray:
        return np.log(self.scores) - np.log1p(-self.scores)


def other_calibrators(dev: Pairs, test: Pairs, fitted: Scaling) -> Iterator[str]:
    """Yield a line for people: ECE on test of calibrators that were fitted on dev.

    Args:
        dev: Posts to fit on, with their predictions.
        test: Posts to measure on.
        fitted: Temperature and shift, fitted on dev.
    """
    own, other = _Entities.of(dev), _Entities.of(test)
    names = sorted(set(own.labels))

    def with_types(given: _Entities) -> FloatArray:
        return np.stack([given.logits, *(given.labels == name for name in names[1:])], axis=1)

    def with_length(given: _Entities) -> FloatArray:
        return np.stack([given.logits, np.log(given.lengths)], axis=1)

    def beta(given: _Entities) -> FloatArray:
        return np.stack([np.log(given.scores), -np.log1p(-given.scores)], axis=1)

    inputs: dict[str, Callable[[_Entities], FloatArray]] = {
        "a shift for each type": with_types,
        "the logarithm of the mention's length": with_length,
        "beta calibration": beta,
    }
    measured = {
        name: _ece(other.judged, _regressed(of(own), own.judged.right, of(other))) for name, of in inputs.items()
    }
    measured["isotonic regression"] = _ece(other.judged, _isotonic(own, other))
    yield (
        f"Other calibrators, fitted on the same dev, ECE on test: "
        f"{', '.join(f'{name} {value:.3f}' for name, value in measured.items())}. "
        f"Scores that are exactly calibrated have {_least(other.judged, fitted):.3f} with so many mentions "
        f"(mean of {_NUM_DRAWS} draws)."
    )


def _regressed(inputs: FloatArray, right: FloatArray, others: FloatArray) -> FloatArray:
    """Return the probabilities of a logistic regression on other inputs."""
    model = LogisticRegression(C=np.inf, max_iter=1_000).fit(inputs, right)
    probabilities: FloatArray = model.predict_proba(others)[:, 1]
    return probabilities


def _isotonic(own: _Entities, other: _Entities) -> FloatArray:
    """Return the share that is right among the entities of dev that are as sure, which never falls."""
    model = IsotonicRegression(out_of_bounds="clip").fit(own.scores, own.judged.right)
    probabilities: FloatArray = model.predict(other.scores)
    return probabilities


def _least(judged: Judged, fitted: Scaling) -> float:
    """Return the mean ECE where entities are right as often as their scores say."""
    rng, scores = np.random.default_rng(0), fitted.apply(judged.scores)
    draws = [(rng.random(len(scores)) < scores).astype(np.float64) for _ in range(_NUM_DRAWS)]
    return float(np.mean([_ece(Judged(judged.post, scores, right, judged.num_posts), scores) for right in draws]))


def _ece(judged: Judged, scores: FloatArray) -> float:
    return measure(Judged(judged.post, scores, judged.right, judged.num_posts), num_resamples=1).ece.value
