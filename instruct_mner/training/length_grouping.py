"""Order of posts in training in which posts of similar length share a batch."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler

# Number of batches that are sorted together: few enough that neighbours change from epoch to epoch.
_TOGETHER = 16


class LengthGroupedSampler(Sampler[int]):
    """Random order in which batches hold posts of similar length, so that little is spent on padding.

    The order depends on seed and epoch alone, so that a resumed run sees the posts that it would have seen. Posts are
    sorted by length within blocks of some batches; then the batches are shuffled.

    Args:
        lengths: Length of each post, in any unit.
        batch_size: Number of posts in a batch, over all processes.
        seed: Seed of the order.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self._lengths = lengths
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, from 0; the data loader calls it."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Return the number of posts."""
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        """Iterate over the indices of all posts."""
        draw = random.Random(f"{self._seed}/{self._epoch}")  # noqa: S311
        order = list(range(len(self._lengths)))
        draw.shuffle(order)
        batches: list[list[int]] = []
        size = self._batch_size
        for start in range(0, len(order), size * _TOGETHER):
            block = sorted(order[start : start + size * _TOGETHER], key=self._lengths.__getitem__)
            batches += [block[first : first + size] for first in range(0, len(block), size)]
        # A batch that is not full stays last: in front it would move the borders of all others.
        short = [batches.pop()] if batches and len(batches[-1]) < size else []
        draw.shuffle(batches)
        yield from (index for batch in [*batches, *short] for index in batch)
