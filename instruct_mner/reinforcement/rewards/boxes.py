"""Reward of boxes: the overlap of predicted with gold boxes."""

from __future__ import annotations

from instruct_mner.reinforcement.rewards.matching import Pair, matches, soft_f1
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.scoring.triples import intersection_over_union


def boxes(post: Example, prediction: Prediction) -> float:
    """Return the soft F1 of the entities that have a box on their side.

    The value of a match is the largest intersection over union of the predicted box with any gold box of the entity.
    Entities match by span. As spans are flat, this is the assignment with the largest sum where boxes of two different
    spans are worth nothing to each other. Rejected items have no box and do not count here; they count in the spans.

    Boxes that are not annotated or were not asked for (``None``) are taken for "not visible": this reward is for
    grounded answers, and the caller decides which rewards apply.

    Args:
        post: Annotated post.
        prediction: Prediction for this post.

    Raises:
        ValueError: The post is not annotated.
    """
    gold = [entity for entity in post.gold if entity.boxes]
    predicted = [entity for entity in prediction.entities if entity.boxes]
    values = [_overlap(pair) for pair in matches(gold, predicted)]
    return soft_f1(values, len(gold) + len(predicted))


def _overlap(pair: Pair) -> float:
    gold, predicted = pair
    return max(intersection_over_union(box, other) for box in gold.boxes or () for other in predicted.boxes or ())
