"""Random numbers that depend on a post, an epoch and a seed alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def chance(key: str, name: str) -> Random:
    """Return the random numbers of one post for one purpose: the same in every batch, and after a resume."""
    return Random(f"{key}/{name}")  # noqa: S311


def noise(keys: Sequence[str], name: str, shape: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
    """Return standard normal numbers, ``(keys, *shape)``, which depend on each key alone."""
    return _drawn(keys, name, shape, device, normal=True)


def uniform(keys: Sequence[str], name: str, shape: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
    """Return uniform numbers in 0..1, ``(keys, *shape)``, which depend on each key alone."""
    return _drawn(keys, name, shape, device, normal=False)


def _drawn(keys: Sequence[str], name: str, shape: Sequence[int], device: torch.device | str, *, normal: bool) -> Tensor:
    drawn = []
    for key in keys:
        generator = torch.Generator().manual_seed(_seed(f"{key}/{name}"))
        make = torch.randn if normal else torch.rand
        drawn.append(make(*shape, generator=generator))
    return torch.stack(drawn).to(device)


@lru_cache(maxsize=4096)
def _seed(text: str) -> int:
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big") >> 1
