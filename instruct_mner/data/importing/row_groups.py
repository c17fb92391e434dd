"""Rows of a table that belong to one post, and the columns that they have beside tokens or mentions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from instruct_mner.data.importing.looks import looks_like
from instruct_mner.data.importing.marks import in_snake_case
from instruct_mner.data.lenient import INDEX_COLUMNS
from instruct_mner.errors import DataError

Numbered = tuple[int, dict[str, object]]
Chosen = Mapping[str, Sequence[str]]
"""Columns by role, as the user says."""


@dataclass
class RowGroup:
    """Rows of one post.

    Attributes:
        key: Value that the rows share.
        numbered: Rows with their numbers.
    """

    key: object
    numbered: list[Numbered]

    def add(self, number: int, row: dict[str, object]) -> None:
        """Add a row."""
        self.numbered.append((number, row))

    @property
    def number(self) -> int:
        """Number of the first row."""
        return self.numbered[0][0]

    @property
    def rows(self) -> list[dict[str, object]]:
        """Rows without their numbers."""
        return [row for _, row in self.numbered]


def named(
    rows: Sequence[Mapping[str, object]], names: Sequence[str], chosen: Chosen, role: str | None = None
) -> str | None:
    """Return the column that the user chose for a role, else the first of some names; ``None`` where there is none.

    Args:
        rows: Rows from the beginning of a table.
        names: Names in the order in which they are tried; capitals do not matter, nor the signs between words.
        chosen: Columns by role, as the user says; those that are carried along have no other role.
        role: Role of the column; ``None`` for one that the user cannot choose.
    """
    there = {name: None for row in rows for name in row}
    if role is not None and role in chosen:
        return next((name for name in chosen[role] if name in there), None)
    taken = {name for others in chosen.values() for name in others}
    by_name = {in_snake_case(name.strip()): name for name in there if name not in taken}
    return next((by_name[in_snake_case(name)] for name in names if in_snake_case(name) in by_name), None)


def further_columns(
    groups: Sequence[RowGroup],
    known: set[str],
    chosen: Chosen,
    path: Path,
    notes: list[str],
    *,
    fills_down: bool = False,
    of_rows: frozenset[str] = frozenset(),
) -> Iterator[dict[str, object]]:
    """Yield the further columns of each post: a value where the rows of a post agree, else a list of an item a row.

    A column is of one kind in the whole table.

    Args:
        groups: Posts.
        known: Columns that are read otherwise.
        chosen: Columns by role, as the user says.
        path: Name of the table, for messages.
        notes: Lines for the user, to which one is added where there are lists.
        fills_down: True where an empty cell stands for the one above it.
        of_rows: Columns that are lists even where rows agree.

    Raises:
        DataError: Rows of one post name different pictures.
    """
    names = dict.fromkeys(name for group in groups for row in group.rows for name in row if name not in known)
    lists = set()
    for name in names:
        if name in INDEX_COLUMNS:
            continue
        other = next((number for group in groups for number in _others(group, name, fills_down)), None)
        if other is None and name not in of_rows:
            continue
        lists.add(name)
        values = [row[name] for group in groups for row in group.rows if row.get(name) is not None]
        pictures = name in chosen.get("images", ()) or looks_like(name, values) == "a picture"
        if pictures and other is not None and name not in chosen.get("meta", ()):
            raise DataError(
                f"{path}:{other}: column {name!r} names another picture than the rows above it of the same post; give "
                "each post an id of its own, or each row all pictures as a list, or carry the column along (--column "
                f"meta={name})"
            )
    note = f"{path}: columns that differ within a post are lists of an item for each row: {', '.join(sorted(lists))}"
    if lists and note not in notes:
        notes.append(note)
    for group in groups:
        yield {name: _value(group, name, is_list=name in lists) for name in names}


def _others(group: RowGroup, name: str, fills_down: bool) -> Iterator[int]:
    """Yield the numbers of the rows that differ from the first filled one."""
    first: object = None if fills_down else group.rows[0].get(name)
    for number, row in group.numbered:
        value = row.get(name)
        if fills_down and (first is None or value is None):
            first = value if first is None else first
        elif repr(value) != repr(first):
            yield number


def _value(group: RowGroup, name: str, *, is_list: bool) -> object:
    values = [row.get(name) for row in group.rows]
    filled = [value for value in values if value is not None]
    if not filled:
        return None
    return values if is_list else filled[0]
