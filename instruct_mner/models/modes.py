"""Models that are used, rather than trained: by one thread at a time, and without dropout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, RLock
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from torch import nn

_LOCKS: WeakKeyDictionary[Any, RLock] = WeakKeyDictionary()
_GUARD = Lock()


class _Model(Protocol):
    def modules(self) -> Iterator[nn.Module]: ...
    def eval(self) -> nn.Module: ...


@contextmanager
def in_use(model: _Model) -> Iterator[None]:
    """Let one thread use a model within the block, and switch dropout off, for a use while it is being trained.

    Other threads wait: forwards are replaced and watched while a model is used, and two at once take no less time.

    Args:
        model: Model, with or without an adapter.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    with _GUARD:
        lock = _LOCKS.setdefault(base, RLock())
    with lock:
        training = [module for module in model.modules() if module.training]
        if training:
            model.eval()
        try:
            yield
        finally:
            for module in training:
                module.training = True
