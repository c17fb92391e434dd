"""Order of predictions: as the data, or the least certain first, for those who look at posts or label them."""

from __future__ import annotations

from collections.abc import Iterable

from instruct_mner.schema.records import Prediction


def certainty(prediction: Prediction) -> float:
    """Return how certain a model is of a post, in 0..1: as certain as of its least certain entity.

    It is 0 where the answer held items that are no entities, and 1 where it says that there is none: ``none`` has no
    score.
    """
    if prediction.rejected.total:
        return 0.0
    return min((entity.score for entity in prediction.entities), default=1.0)


def least_certain_first(predictions: Iterable[Prediction]) -> list[Prediction]:
    """Return predictions by rising certainty; equal ones stay in their order. All of them are in memory at once."""
    return sorted(predictions, key=certainty)


def lines_by_certainty(lines: Iterable[str]) -> list[str]:
    """Return lines of predictions by their certainty, each as it was written."""
    return sorted(lines, key=lambda line: certainty(Prediction.model_validate_json(line)))
