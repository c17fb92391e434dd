"""Slices of mentions, and comparisons of arms over paired seeds and the same posts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from instruct_mner.synthetic.posterior import posterior
from instruct_mner.synthetic.posts import SyntheticPost, slice_of
from instruct_mner.synthetic.settings import DrawnMention

Counts = npt.NDArray[np.float64]
Mask = Sequence[Sequence[bool]]

CUE_SLICES = (
    "one mention, none", "one mention, colour", "one mention, place", "one mention, letters",
    "several, none", "several, colour", "several, place", "several, letters", "unrelated picture",
)  # fmt: skip
_TESTS: dict[str, Callable[[SyntheticPost, DrawnMention], bool]] = {
    "all": lambda post, mention: True,
    # Nothing in the text tells the type.
    "ambiguous in text": lambda post, mention: mention.affix is None and mention.phrase is None,
    "ambiguous in text, seen": lambda post, mention: (
        mention.affix is None and mention.phrase is None and mention.object_index is not None
    ),
}


def masks(made: Sequence[SyntheticPost]) -> dict[str, list[list[bool]]]:
    """Return which mentions of each post belong to each slice."""
    tests = dict(_TESTS)
    for name in CUE_SLICES:
        tests[name] = lambda post, mention, name=name: slice_of(post, mention) == name  # type: ignore[misc]
    return {name: [[test(post, each) for each in post.mentions] for post in made] for name, test in tests.items()}


def best_possible(made: Sequence[SyntheticPost], *, with_picture: bool) -> list[list[float]]:
    """Return the probability of the likeliest type of every mention: the best score, given perfect spans and sight."""
    return [[float(row.max()) for row in posterior(post, with_picture=with_picture)] for post in made]


def share(values: Sequence[Sequence[float]], mask: Mask) -> float:
    """Return the mean over the mentions of a slice."""
    chosen = [v for row, keep in zip(values, mask, strict=False) for v, k in zip(row, keep, strict=True) if k]
    return sum(chosen) / max(1, len(chosen))


def recalls(scores: Mapping[str, Any], mask: Mask) -> tuple[Counts, Counts]:
    """Return right and all mentions of a slice, for each post."""
    chosen = mask[: len(scores["right"])]
    right = [
        sum(r for r, m in zip(row, keep, strict=True) if m) for row, keep in zip(scores["right"], chosen, strict=True)
    ]
    return np.array(right, dtype=float), np.array([sum(keep) for keep in chosen], dtype=float)


def compare(
    arm: Sequence[tuple[Counts, Counts]], control: Sequence[tuple[Counts, Counts]], draws: int, seed: int
) -> tuple[float, float, float, float]:
    """Return the difference of two arms over paired seeds: mean, 95 % interval, two-sided p.

    A hierarchical bootstrap: seeds are resampled, and posts are resampled, the same for all seeds and for both arms.

    Args:
        arm: Right and all mentions of each post, for each seed.
        control: The same of the other arm.
        draws: Number of bootstrap samples.
        seed: Seed of the bootstrap.
    """
    num_seeds, num_posts = len(arm), len(arm[0][0])
    differences = np.array([a[0] - c[0] for a, c in zip(arm, control, strict=True)])
    count = arm[0][1]
    mean = float(differences.sum(axis=1).mean() / max(1.0, count.sum()))
    posts, seeds = _resamples(num_seeds, num_posts, draws, seed)
    drawn = ((posts @ differences.T) * seeds).sum(axis=1) / np.maximum(1.0, posts @ count)
    low, high = np.quantile(drawn, [0.025, 0.975])
    tail = min(float((drawn <= 0).mean()), float((drawn >= 0).mean()))
    return mean, float(low), float(high), min(1.0, 2 * max(tail, 1 / draws))


@lru_cache(maxsize=2)
def _resamples(num_seeds: int, num_posts: int, draws: int, seed: int) -> tuple[Counts, Counts]:
    """Return how often each post is drawn, ``(draws, posts)``, and the share of each seed, ``(draws, seeds)``.

    These counts replace copies of the data by two products. Comparisons of the same size share them.
    """
    rng = np.random.default_rng(seed)
    posts = rng.multinomial(num_posts, np.full(num_posts, 1 / num_posts), size=draws)
    seeds = rng.multinomial(num_seeds, np.full(num_seeds, 1 / num_seeds), size=draws)
    return posts.astype(float), seeds / num_seeds
