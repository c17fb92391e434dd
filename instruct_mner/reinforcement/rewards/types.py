"""Reward of types: right places in the text with the right types."""

from __future__ import annotations

from instruct_mner.reinforcement.rewards.matching import count_items, matches, soft_f1
from instruct_mner.schema.records import Example, Prediction


def types(post: Example, prediction: Prediction) -> float:
    """Return the F1 of the spans with their types; rejected items are false positives.

    It is at most the reward of the spans, and equal to it where every matched span has the right type. The share of
    right types among the matched spans alone would pay for leaving out a mention whose type is uncertain.

    Args:
        post: Annotated post.
        prediction: Prediction for this post.

    Raises:
        ValueError: The post is not annotated.
    """
    values = [float(gold.label == predicted.label) for gold, predicted in matches(post.gold, prediction.entities)]
    return soft_f1(values, count_items(post, prediction))
