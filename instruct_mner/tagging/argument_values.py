"""Kinds of values that are given for arguments: lists, single things, tables; and how each stands in a message."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping

from pydantic import BaseModel


def shown(value: object) -> str:
    """Return a value in a message; of other objects the type, as their texts may be long, or may raise."""
    if isinstance(value, str | bytes | float | None) or (isinstance(value, int) and abs(value) < sys.maxsize):
        return f"{value!r:.60}"
    return type(value).__name__


def no_list(value: object) -> str:
    """Return what stands in a message behind a value that was given for a list: why it is none, and what to do."""
    if is_table(value):
        return ", whose items are the names of its columns; give a list, such as the column table['text']"
    if isinstance(value, set | frozenset):
        return ", whose items have no order; give a list"
    return "; put it into a list" if isinstance(value, BaseModel) else ""


def is_table(value: object) -> bool:
    """Return true for a table of pandas, polars or pyarrow, whose items are names of columns, or columns."""
    return hasattr(type(value), "columns")


def is_one(value: object) -> bool:
    """Return true for what has items that are no list: a text, a mapping, a record, a table, a set."""
    return isinstance(value, str | bytes | Mapping | BaseModel | set | frozenset) or is_table(value)


def items(value: object) -> list[object] | None:
    """Return the items of a list or of another source; ``None`` for all else."""
    if is_one(value) or not isinstance(value, Iterable):
        return None
    try:
        return list(value)
    except TypeError:  # an array of NumPy without dimensions
        return None
