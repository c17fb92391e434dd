"""Reward of invisible entities: entities of the text that are in no picture."""

from __future__ import annotations

from instruct_mner.reinforcement.rewards.matching import matches, soft_f1
from instruct_mner.schema.records import Example, Prediction


def not_visible(post: Example, prediction: Prediction) -> float:
    """Return the F1 of the entities that are not visible, matched by span.

    Of the 2543 mentions of the GMNER test split 1494 are not visible, for which the reward of the boxes has no value.
    Rejected items say nothing about a picture and do not count here; they count in the spans.

    Boxes that are not annotated or were not asked for (``None``) are taken for "not visible": this reward is for
    grounded answers, and the caller decides which rewards apply.

    Args:
        post: Annotated post.
        prediction: Prediction for this post.

    Raises:
        ValueError: The post is not annotated.
    """
    gold = [entity for entity in post.gold if not entity.boxes]
    predicted = [entity for entity in prediction.entities if not entity.boxes]
    values = [1.0 for _ in matches(gold, predicted)]
    return soft_f1(values, len(gold) + len(predicted))
