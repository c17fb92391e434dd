"""Turns of threads at what they share and change while they use it: a model, a tokenizer."""

from __future__ import annotations

from threading import Lock, RLock
from typing import Any
from weakref import WeakKeyDictionary

_LOCKS: WeakKeyDictionary[Any, RLock] = WeakKeyDictionary()
_GUARD = Lock()


def turn_at(shared: object) -> RLock:
    """Return the lock of an object, which a thread holds while it uses it.

    Forwards of a model are replaced and watched while it answers. A fast tokenizer keeps how it pads, which each call
    sets anew.

    Args:
        shared: Model without an adapter around it, or tokenizer.
    """
    with _GUARD:
        return _LOCKS.setdefault(shared, RLock())
