"""Order of predictions: as the data, or the least certain first, for those who look at posts or label them."""

from __future__ import annotations

from collections.abc import Iterable

from instruct_mner.schema.certainty import certainty
from instruct_mner.schema.records import Prediction


def least_certain_first(predictions: Iterable[Prediction]) -> list[Prediction]:
    """Return predictions by rising certainty; equal ones stay in their order. All of them are in memory at once."""
    return sorted(predictions, key=_certainty)


def lines_by_certainty(lines: Iterable[str]) -> list[str]:
    """Return lines of predictions by their certainty, each as it was written."""
    return sorted(lines, key=lambda line: _certainty(Prediction.model_validate_json(line)))


def _certainty(prediction: Prediction) -> float:
    return certainty(prediction.entities, prediction.rejected)
