"""Pictures of a post as the model sees them: its own, none, or those of another post."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from instruct_mner.data.dataset import Dataset
from instruct_mner.errors import DataError
from instruct_mner.schema.choices import ImageSource
from instruct_mner.schema.records import Example


def picture_source(dataset: Dataset, source: ImageSource, seed: int = 0) -> Callable[[Example], tuple[Path, ...]]:
    """Return the function that finds the pictures of a post.

    ``none`` and ``shuffled`` are the two baselines without which no score of a multimodal model means anything: what
    it does without looking, and what it does when looking cannot help.

    Args:
        dataset: The posts.
        source: ``own``; ``none``; or ``shuffled``: every post with pictures gets those of another such post.
        seed: Seed of the shuffling.

    Raises:
        DataError: Shuffling needs two posts with pictures.
    """
    if source == "own":
        return dataset.picture_paths
    if source == "none":
        return lambda example: ()
    pictured = [example for example in dataset.examples if example.images]
    if len(pictured) < 2:
        raise DataError(
            f"{dataset.path}: --image-source shuffled needs two posts with pictures, there are {len(pictured)}"
        )
    other = list(range(len(pictured)))
    # Source: Sattolo's algorithm; one cycle through all of them, so that no post keeps its own.
    draw = random.Random(seed)  # noqa: S311
    for last in range(len(other) - 1, 0, -1):
        first = draw.randrange(last)
        other[first], other[last] = other[last], other[first]
    paths = {example.id: dataset.picture_paths(pictured[other[index]]) for index, example in enumerate(pictured)}
    # No more than its own, which a post may have lost in an epoch: boxes and answers count them.
    return lambda example: paths.get(example.id, ())[: len(example.images)]
