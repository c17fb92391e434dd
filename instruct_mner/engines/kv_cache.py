"""A cache of keys and values with room to grow, for generation in this process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PretrainedConfig
from transformers.cache_utils import DynamicLayer

# Tokens for which there is room beyond those that came.
_ROOM = 64


class _RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values of one layer, in tensors with room for more tokens and more rows.

    Attributes:
        room: Tensors that hold keys and values, ``(rows, heads, tokens, width)``, larger than what is in use.
        begin: First token of them that is in use.
    """

    room: tuple[Tensor, Tensor] | None = None
    begin = 0
    keys: Any
    values: Any

    def update(self, key_states: Tensor, value_states: Tensor, *arguments: Any, **named: Any) -> Any:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        rows, length, new = len(key_states), self.get_seq_length(), key_states.shape[-2]
        if not self._has_room(rows, length + new):
            self._make_room(rows, (key_states, value_states), length, length + new)
        assert self.room is not None
        end = self.begin + length
        for room, states in zip(self.room, (key_states, value_states), strict=True):
            room[:rows, :, end : end + new] = states
        self._use(rows, self.begin, end + new)
        return self.keys, self.values

    def drop_tokens(self, num_tokens: int) -> None:
        """Drop the first tokens."""
        self.keys, self.values = (states[..., num_tokens:, :] for states in (self.keys, self.values))
        self.begin += num_tokens

    def keep(self, rows: Sequence[int]) -> None:
        """Keep some rows, in any order; only rows that change their place are copied."""
        moved = [(place, row) for place, row in enumerate(rows) if place != row]
        if moved:
            places, sources = (torch.tensor(each, device=self.keys.device) for each in zip(*moved, strict=True))
            for states in (self.keys, self.values):
                states[places] = states[sources]
        self.keys, self.values = self.keys[: len(rows)], self.values[: len(rows)]

    def join(self, other: _RoomyLayer, num_rows: int) -> None:
        """Add the rows of another layer; the shorter ones begin with zeros.

        Args:
            other: Layer of the rows.
            num_rows: Number of rows for which there should be room.
        """
        own, rows = len(self.keys), len(self.keys) + len(other.keys)
        length = max(self.get_seq_length(), other.get_seq_length())
        padding = length - self.get_seq_length()
        if padding > self.begin or not self._has_room(rows, length - padding):
            self._make_room(max(rows, num_rows), (self.keys, self.values), self.get_seq_length(), length, padding)
        else:
            self.begin -= padding
        assert self.room is not None
        end = self.begin + length
        for room, states in zip(self.room, (other.keys, other.values), strict=True):
            room[:own, :, self.begin : self.begin + padding] = 0
            room[own:rows, :, self.begin : end - states.shape[-2]] = 0
            room[own:rows, :, end - states.shape[-2] : end] = states
        self._use(rows, self.begin, end)

    def _use(self, rows: int, begin: int, end: int) -> None:
        assert self.room is not None
        self.keys, self.values = (room[:rows, :, begin:end] for room in self.room)

    def _has_room(self, rows: int, length: int) -> bool:
        # Whoever picks or repeats rows puts other tensors in the place of views into the room.
        return (
            self.room is not None
            and self.keys.data_ptr() == self.room[0][..., self.begin :, :].data_ptr()
            and rows <= len(self.room[0])
            and self.begin + length <= self.room[0].shape[-2]
        )

    def _make_room(self, rows: int, like: tuple[Tensor, Tensor], old: int, length: int, padding: int = 0) -> None:
        """Make room for more rows and tokens, and put what is there into it, behind some padding."""
        size = length + max(_ROOM, length // 4)
        made = [states.new_empty(rows, states.shape[1], size, states.shape[-1]) for states in like]
        if old:
            for room, states in zip(made, (self.keys, self.values), strict=True):
                room[: len(states), :, padding : padding + old] = states
        self.room, self.begin = (made[0], made[1]), 0


def roomy_cache(config: PretrainedConfig) -> DynamicCache:
    """Return an empty cache whose full-attention layers write new tokens in place.

    transformers' own copies all earlier tokens for each new one: a quarter of the time of tagging with a small model.

    Args:
        config: Config of the model.

    Source: ``DynamicLayer`` of transformers 5.16 to 5.19; can go when it has room of its own.
    """
    cache = DynamicCache(config=config)
    cache.layers = [_RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def keep_rows(cache: DynamicCache, rows: Sequence[int], device: torch.device) -> None:
    """Keep some rows of a cache.

    Args:
        cache: Cache of :func:`roomy_cache`, after a forward.
        rows: Numbers of the rows, in their new order.
        device: Device of the model.
    """
    chosen = torch.tensor(rows, dtype=torch.long, device=device)
    for layer in cache.layers:
        if isinstance(layer, _RoomyLayer):
            layer.keep(rows)
        else:
            layer.reorder_cache(chosen)


def repeat_rows(cache: DynamicCache, times: int, num_rows: int, device: torch.device) -> None:
    """Repeat each row of a cache so many times, as neighbours.

    Args:
        cache: Cache of :func:`roomy_cache`, after a forward.
        times: Number of rows that each becomes.
        num_rows: Number of its rows.
        device: Device of the model.
    """
    repeated = torch.arange(num_rows, device=device).repeat_interleave(times)
    for layer in cache.layers:
        if isinstance(layer, _RoomyLayer):
            layer.batch_repeat_interleave(times)
        else:
            layer.reorder_cache(repeated)


def is_joinable(cache: DynamicCache) -> bool:
    """Return whether rows can be added to a cache: all of its layers hold keys and values of all tokens."""
    return bool(cache.layers) and all(isinstance(layer, _RoomyLayer) for layer in cache.layers)


def join_rows(cache: DynamicCache, other: DynamicCache, *, num_rows: int, unused: tuple[int, int]) -> None:
    """Add the rows of another cache to a cache, both of which end with the same token.

    Args:
        cache: Cache for which :func:`is_joinable` is true; changed.
        other: Cache of the same model.
        num_rows: Number of rows for which there should be room.
        unused: Number of tokens at the beginning of each of both that no row attends to; they are dropped.
    """
    for layer, further in zip(cache.layers, other.layers, strict=True):
        assert isinstance(layer, _RoomyLayer)
        assert isinstance(further, _RoomyLayer)
        layer.drop_tokens(unused[0])
        further.drop_tokens(unused[1])
        layer.join(further, num_rows)
