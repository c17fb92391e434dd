"""Reward of spans: the right places in the text, whatever their types."""

from __future__ import annotations

from instruct_mner.reinforcement.rewards.matching import count_items, matches, soft_f1
from instruct_mner.schema.records import Example, Prediction


def spans(post: Example, prediction: Prediction) -> float:
    """Return the F1 of the spans of one post; rejected items are false positives.

    Args:
        post: Annotated post.
        prediction: Prediction for this post.

    Raises:
        ValueError: The post is not annotated.
    """
    values = [1.0 for _ in matches(post.gold, prediction.entities)]
    return soft_f1(values, count_items(post, prediction))
