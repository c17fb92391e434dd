"""A development split of imported posts: posts that share a text or a picture are on one side of it."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from instruct_mner.data.jsonl import rows
from instruct_mner.data.leaks import normalised
from instruct_mner.errors import ConfigError
from instruct_mner.files import replacing
from instruct_mner.schema.records import Example

NO_SPLIT = "hold none out (import: leave --split out; init and finetune: --split 0)"
"""Remedy where no posts can be held out."""


class Member(NamedTuple):
    """A post, as far as the choice depends on it.

    Attributes:
        keys: Keys that it may share with others: its text, and its pictures.
        has_entities: True where it has entities.
    """

    keys: Sequence[str]
    has_entities: bool


@dataclass(frozen=True)
class Split:
    """Posts that are held out.

    Attributes:
        is_dev: True for a post of the development split, a post each.
        num_groups: Number of groups of posts that share a text or a picture.
        largest: Number of posts in the largest of them.
    """

    is_dev: tuple[bool, ...]
    num_groups: int
    largest: int


def split_posts(posts: Iterable[Member], share: float, seed: int) -> Split:
    """Hold out about a share of posts, whole groups of those that share a key, but never all that have entities.

    Args:
        posts: Posts in their order.
        share: Share of the posts that are held out, in 0..1.
        seed: Seed of the choice.

    Raises:
        ConfigError: There is no way to hold out a post and keep another.
    """
    parents: list[int] = []
    first: dict[str, int] = {}
    with_entities: list[int] = []

    def root(post: int) -> int:
        while parents[post] != post:
            parents[post] = parents[parents[post]]
            post = parents[post]
        return post

    for number, post in enumerate(posts):
        parents.append(number)
        if post.has_entities:
            with_entities.append(number)
        for key in post.keys:
            other = first.setdefault(key, number)
            parents[root(number)] = root(other)
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for number in range(len(parents)):
        groups[root(number)].append(number)
    order = list(groups.values())
    random.Random(seed).shuffle(order)  # noqa: S311 (a choice of posts, no secret)
    wanted = max(1, round(share * len(parents)))
    teaching = {root(number) for number in with_entities}
    held: list[int] = []
    for group in order:
        own = {root(group[0])}
        if len(held) + len(group) <= wanted and teaching != own:
            held += group
            teaching -= own
    if not held or len(held) == len(parents):
        free = [len(group) for group in order if teaching != {root(group[0])}]
        but = "" if len(free) == len(order) else " but the one that has all entities"
        reason = f"none can be held out (the smallest{but} has {min(free, default=0)}); choose a larger share"
        if held:
            reason = "all would be held out, and none is left to train on; choose a smaller share"
        if len(order) < 2:
            reason = f"none can be held out and another kept; give more posts, or {NO_SPLIT}"
        raise ConfigError(
            f"--split {share:g}: of {len(parents)} posts in {len(groups)} groups that share no text and no picture "
            f"{reason}"
        )
    is_dev = bytearray(len(parents))
    for number in held:
        is_dev[number] = 1
    return Split(tuple(map(bool, is_dev)), len(groups), max(map(len, order)))


def keys_of(example: Example, folder: Path) -> list[str]:
    """Return what a post may share with others: its text without case and spaces, and the contents of its pictures."""
    text = normalised(example.text) or example.text
    return [
        f"text {hashlib.sha256(text.encode()).hexdigest()}",
        *(_picture_key(folder / name) for name in example.images),
    ]


def _picture_key(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return f"picture {hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError:
        return f"name {path.name}"


def write_splits(path: Path, share: float, seed: int) -> list[str]:
    """Write ``train.jsonl`` and ``dev.jsonl`` beside a file of posts: both, or neither.

    Returns:
        Lines for the user.

    Raises:
        ConfigError: There is no way to hold out a post and keep another.
        DataError: They cannot be written.
    """
    folder = path.parent
    examples = (row.example for row in rows(path) if row.example is not None)
    members = (Member(keys_of(example, folder), bool(example.entities)) for example in examples)
    split = split_posts(members, share, seed)
    with replacing(folder / "train.jsonl") as train, replacing(folder / "dev.jsonl") as dev:
        posts = (row.example for row in rows(path) if row.example is not None)
        for example, is_dev in zip(posts, split.is_dev, strict=True):
            (dev if is_dev else train).write(example.model_dump_json(exclude_none=True) + "\n")
    num_dev = sum(split.is_dev)
    return [
        f"{folder}: {len(split.is_dev) - num_dev} posts in train.jsonl, {num_dev} in dev.jsonl; chosen with the seed "
        f"{seed} from {split.num_groups} groups, in which posts share a text or a picture (the largest has "
        f"{split.largest}); no group is on both sides"
    ]
