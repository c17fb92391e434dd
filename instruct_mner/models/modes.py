"""Models that are used, rather than trained: without dropout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from torch import nn


class _Model(Protocol):
    def modules(self) -> Iterator[nn.Module]: ...
    def eval(self) -> nn.Module: ...


@contextmanager
def without_dropout(model: _Model) -> Iterator[None]:
    """Switch dropout off within the block, for a use of a model that is being trained.

    A model without any is left alone: several threads may use it at once.

    Args:
        model: Model, with or without an adapter.
    """
    training = [module for module in model.modules() if module.training]
    if training:
        model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
