r"""Tables of one mention a row: each repeats its post.

::

    id,text,start,end,label                text,mention,type
    1,Anna met Bo,0,4,PER                  Anna met Bo,Anna,PER
    1,Anna met Bo,9,11,PER                 Anna met Bo,Bo,PER
    2,nobody,,,                            nobody,,
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from instruct_mner.data.importing.posts import END_NAMES, LABEL_NAMES, START_NAMES
from instruct_mner.data.importing.roles import TEXT_NAMES
from instruct_mner.errors import DataError

Numbered = tuple[int, dict[str, Any]]

# Where no offsets stand beside it, a mention must have a name that says so: "text" and "name" are other things as well.
_SURFACES = ("mention", "entity", "entity_text", "mention_text", "surface", "span", "span_text", "phrase")
_ENTITIES = "entities"


@dataclass(frozen=True)
class MentionColumns:
    """Columns of a table of one mention a row.

    Attributes:
        label: Column of the type.
        start: Column of the first character; ``None`` where the mention is given by its words.
        end: Column of the end.
        surface: Column of the words of the mention, if any.
    """

    label: str
    start: str | None
    end: str | None
    surface: str | None

    def note(self, path: Path) -> str:
        """Return a line on how the table is read."""
        places = [repr(name) for name in (self.start, self.end, self.surface) if name is not None]
        return f"{path}: read one mention a row, its type from {self.label!r}, its place from {', '.join(places)}"

    @property
    def all(self) -> frozenset[str]:
        """All columns of the mention; what is equal in the others is one post."""
        return frozenset(name for name in (self.label, self.start, self.end, self.surface) if name is not None)


def mention_columns(rows: Sequence[Mapping[str, object]]) -> MentionColumns | None:
    """Return the columns of a table of one mention a row; ``None`` for any other table.

    Args:
        rows: Rows from its beginning.
    """
    names = {name.strip().lower(): name for row in rows for name in row}
    text = next((names[name] for name in TEXT_NAMES if name in names), None)
    label = next((names[name] for name in LABEL_NAMES if name in names), None)
    start = next((names[name] for name in START_NAMES if name in names), None)
    end = next((names[name] for name in END_NAMES if name in names), None)
    surface = next((names[name] for name in _SURFACES if name in names and names[name] != label), None)
    if text is None or label is None or text == label or (surface is None and (start is None or end is None)):
        return None
    columns = MentionColumns(label, start, end, surface)
    filled = [row for row in rows if row.get(label) is not None]
    return columns if filled and all(_fits(row, columns, text) for row in filled) else None


def gathered_mentions(rows: Iterable[Numbered], columns: MentionColumns, path: Path) -> Iterator[Numbered]:
    """Yield a row for each post, with its mentions in ``entities``.

    Raises:
        DataError: Rows of one post do not follow each other, or a row has half a mention.
    """
    seen: set[int] = set()

    def post_of(numbered: Numbered) -> dict[str, Any]:
        return {name: value for name, value in numbered[1].items() if name not in columns.all}

    for post, group in groupby(rows, post_of):
        same = list(group)
        begun = same[0][0]
        key = hash(repr(post))
        if key in seen:
            raise DataError(
                f"{path}:{begun}: the table has one mention a row, and this row is of a post that ended above; sort "
                "the table by post"
            )
        seen.add(key)
        yield begun, {**post, _ENTITIES: [each for row in same for each in _mention(row, columns, path)]}


def _mention(numbered: Numbered, columns: MentionColumns, path: Path) -> list[dict[str, Any]]:
    number, row = numbered
    fields = {"label": columns.label, "start": columns.start, "end": columns.end, "text": columns.surface}
    mention = {field: row[name] for field, name in fields.items() if name is not None and row.get(name) is not None}
    if not mention:
        return []
    if "label" not in mention or not ({"start", "end"} <= mention.keys() or "text" in mention):
        raise DataError(f"{path}:{number}: half a mention, {mention}; give it a type and its place or words, or none")
    return [mention]


def _fits(row: Mapping[str, object], columns: MentionColumns, text: str) -> bool:
    """Return true where what the columns hold is a mention of the text."""
    whole = row.get(text)
    if not isinstance(whole, str) or not isinstance(row[columns.label], str):
        return False
    if columns.start is not None and columns.end is not None:
        start, end = row.get(columns.start), row.get(columns.end)
        return _is_place(start) and _is_place(end)
    surface = row.get(columns.surface or "")
    return isinstance(surface, str) and surface in whole


def _is_place(value: object) -> bool:
    return type(value) is int or (isinstance(value, float) and value.is_integer()) or str(value).isdecimal()
