"""All rewards by name, and their weighted mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from instruct_mner.reinforcement.rewards.boxes import boxes
from instruct_mner.reinforcement.rewards.not_visible import not_visible
from instruct_mner.reinforcement.rewards.spans import spans
from instruct_mner.reinforcement.rewards.types import types
from instruct_mner.schema.records import Example, Prediction

Reward = Callable[[Example, Prediction], float]

REWARDS: Mapping[str, Reward] = {"spans": spans, "types": types, "boxes": boxes, "not_visible": not_visible}
"""By name; the last two are for grounded answers."""


def weighted(rewards: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Return the weighted mean of the rewards of one completion; it is 1 where all of them are 1.

    Args:
        rewards: Rewards by name.
        weights: Weight of each reward, not negative; those of absent rewards are ignored.

    Raises:
        ValueError: A reward has no weight, a weight is negative or not finite, or all of them are 0.
    """
    if absent := sorted(set(rewards) - set(weights)):
        raise ValueError(f"there is no weight for {', '.join(absent)}")
    if wrong := [name for name in rewards if not 0 <= weights[name] < math.inf]:
        raise ValueError(f"the weight of {', '.join(wrong)} is negative or not finite")
    total = math.fsum(weights[name] for name in rewards)
    if not total:
        raise ValueError("the weights of the rewards are all 0")
    return math.fsum(weights[name] * reward for name, reward in rewards.items()) / total
