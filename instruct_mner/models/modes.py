"""Models that are used, rather than trained: by one thread at a time, and without dropout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from torch import nn

from instruct_mner.models.turns import turn_at


class _Model(Protocol):
    def modules(self) -> Iterator[nn.Module]: ...
    def eval(self) -> nn.Module: ...


@contextmanager
def in_use(model: _Model) -> Iterator[None]:
    """Let one thread use a model within the block, and switch dropout off, for a use while it is being trained.

    Other threads wait; two at once would take no less time.

    Args:
        model: Model, with or without an adapter.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    with turn_at(base):
        training = [module for module in model.modules() if module.training]
        if training:
            model.eval()
        try:
            yield
        finally:
            for module in training:
                module.training = True
