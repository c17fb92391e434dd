"""Matching of predicted with gold entities, and the form that all rewards share: a soft F1.

A ratio over the matches alone would pay for leaving out what is uncertain, and one over the gold alone for naming
everything. The F1 counts both sides, so that only the gold, and nothing besides it, has 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from instruct_mner.schema.records import Entity, Example, PredictedEntity, Prediction

Pair = tuple[Entity, PredictedEntity]


def matches(gold: Iterable[Entity], predicted: Iterable[PredictedEntity]) -> list[Pair]:
    """Return the pairs of a gold and a predicted entity with the same start and end.

    Entities are flat on both sides, so that each has one match at most.
    """
    gold_at = {(entity.start, entity.end): entity for entity in gold}
    return [
        (gold_at[entity.start, entity.end], entity) for entity in predicted if (entity.start, entity.end) in gold_at
    ]


def count_items(post: Example, prediction: Prediction) -> int:
    """Return the number of gold entities and of predicted items, rejected ones among them, as in scoring."""
    return len(post.gold) + len(prediction.entities) + prediction.rejected.total


def soft_f1(values: Iterable[float], num_items: int) -> float:
    """Return twice the sum of the values of the matches, divided by the number of gold and predicted items together.

    Args:
        values: Value of each match, in 0..1.
        num_items: Number of items on both sides; with none of them the F1 is 1.
    """
    return 2 * math.fsum(values) / num_items if num_items else 1.0
