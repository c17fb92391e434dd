"""Certainty of a post's answer: what orders posts for those who label them, here and in Label Studio."""

from __future__ import annotations

from collections.abc import Sequence

from instruct_mner.schema.records import PredictedEntity, Rejected


def certainty(entities: Sequence[PredictedEntity], rejected: Rejected) -> float:
    """Return how certain a model is of a post, in 0..1: as certain as of its least certain entity.

    It is 0 where the answer held items that are no entities, and 1 where it says that there is none: ``none`` has no
    score.

    Args:
        entities: Entities of the answer.
        rejected: Items of the answer that are no entities.
    """
    return 0.0 if rejected.total else min((entity.score for entity in entities), default=1.0)
