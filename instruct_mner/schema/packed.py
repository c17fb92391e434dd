"""Very many records in little memory: each is held as JSON, and made anew where it is read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, Self, TypeVar, overload

from pydantic import BaseModel

from instruct_mner.schema.record import Record
from instruct_mner.schema.records import Box, Context, Entity, Example, PredictedEntity, Prediction, Rejected

R = TypeVar("R", bound=Record)

LEAST = 10_000
"""Number of records from which on they are packed; fewer are a tuple."""

# Fields that hold records, with their class; the others are values of JSON, or tuples of texts and numbers.
_NESTED: dict[type[Record], dict[str, type[Record]]] = {
    Example: {"entities": Entity, "context": Context},
    Prediction: {"entities": PredictedEntity, "rejected": Rejected},
    Entity: {"boxes": Box},
    PredictedEntity: {"boxes": Box},
}
_DEFAULTS: dict[type[Record], dict[str, Any]] = {
    kind: {name: field.get_default() for name, field in kind.model_fields.items()}
    for kind in (Example, Prediction, Entity, PredictedEntity, Box, Context, Rejected)
}


def pack(records: Iterable[R], least: int = LEAST) -> Sequence[R]:
    """Return records as a tuple, or packed where they are many.

    Args:
        records: Records, read once.
        least: Number of records from which on they are packed.
    """
    rest = iter(records)
    first = tuple(islice(rest, least))
    if len(first) < least:
        return first
    packed = PackedRecords[R]()
    for record in first:
        packed.add(record)
    del first
    for record in rest:
        packed.add(record)
    return packed


class PackedRecords(Sequence[R], Generic[R]):
    """Sequence of records that are held as JSON.

    A record whose further columns (``meta``) are no JSON is held as it is.
    """

    def __init__(self) -> None:
        self._rows: list[bytes | R] = []
        self._kinds: list[type[R]] = []

    def add(self, record: R) -> None:
        """Add a record at the end."""
        meta = getattr(record, "meta", None)
        if type(record) not in _DEFAULTS or (meta is not None and not _is_json(meta)):
            self._rows.append(record)
            return
        if not self._kinds:
            self._kinds.append(type(record))
        self._rows.append(record if type(record) is not self._kinds[0] else _packed(record))

    @overload
    def __getitem__(self, at: int) -> R: ...
    @overload
    def __getitem__(self, at: slice) -> Self: ...
    def __getitem__(self, at: int | slice) -> R | Self:
        """Return a record, or some of them, packed."""
        if isinstance(at, slice):
            some = type(self)()
            some._rows, some._kinds = self._rows[at], self._kinds
            return some
        return self._made(self._rows[at])

    def __iter__(self) -> Iterator[R]:
        """Iterate over the records."""
        return map(self._made, self._rows)

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self._rows)

    def __eq__(self, other: object) -> bool:
        """Return whether another sequence holds the same records."""
        if not isinstance(other, Sequence) or len(other) != len(self):
            return False
        return all(mine == its for mine, its in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def _made(self, row: bytes | R) -> R:
        return _restored(self._kinds[0], json.loads(row)) if isinstance(row, bytes) else row


def _packed(record: BaseModel) -> bytes:
    return record.model_dump_json(exclude_unset=True).encode()


def _is_json(meta: dict[str, Any]) -> bool:
    try:
        return bool(json.loads(json.dumps(meta, allow_nan=False)) == meta)
    except (TypeError, ValueError):
        return False


def _restored(kind: type[R], values: dict[str, Any]) -> R:
    """Return a record of values that were checked when it was first made."""
    nested = _NESTED.get(kind, {})
    whole = dict(_DEFAULTS[kind])
    for name, value in values.items():
        inner = nested.get(name)
        if isinstance(value, list):
            whole[name] = tuple(value if inner is None else [_restored(inner, each) for each in value])
        elif inner is not None and value is not None:
            whole[name] = _restored(inner, value)
        else:
            whole[name] = value
    record = kind.__new__(kind)
    object.__setattr__(record, "__dict__", whole)
    object.__setattr__(record, "__pydantic_fields_set__", set(values))
    object.__setattr__(record, "__pydantic_extra__", None)
    object.__setattr__(record, "__pydantic_private__", None)
    return record
