"""A cache of keys and values with room to grow, for generation in this process."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

# Tokens for which there is room beyond those that came.
_ROOM = 64


class _RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values of one layer, in tensors with room for more tokens."""

    room: tuple[Tensor, Tensor] | None = None
    keys: Any
    values: Any

    def update(self, key_states: Tensor, value_states: Tensor, *arguments: Any, **named: Any) -> Any:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        length = self.get_seq_length()
        new = length + key_states.shape[-2]
        if not self._has_room(key_states, new):
            self.room = self._more_room(key_states, length, new), self._more_room(value_states, length, new)
            if length:
                for room, old in zip(self.room, (self.keys, self.values), strict=True):
                    room[..., :length, :] = old
        assert self.room is not None
        for room, states in zip(self.room, (key_states, value_states), strict=True):
            room[..., length:new, :] = states
        self.keys, self.values = (room[..., :new, :] for room in self.room)
        return self.keys, self.values

    def _has_room(self, states: Tensor, new: int) -> bool:
        # Whoever picks or repeats rows puts other tensors in the place of views into the room.
        return (
            self.room is not None
            and self.keys.data_ptr() == self.room[0].data_ptr()
            and len(states) == len(self.room[0])
            and new <= self.room[0].shape[-2]
        )

    @staticmethod
    def _more_room(states: Tensor, length: int, new: int) -> Tensor:
        return states.new_empty(*states.shape[:-2], new + max(_ROOM, length // 4), states.shape[-1])


def roomy_cache(config: Any) -> Any:
    """Return an empty cache whose full-attention layers write new tokens in place.

    transformers' own copies all earlier tokens for each new one: a quarter of the time of tagging with a small model.

    Args:
        config: Config of the model.

    Source: ``DynamicLayer`` of transformers 5.16 to 5.19; can go when it has room of its own.
    """
    cache = DynamicCache(config=config)
    cache.layers = [_RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache
