r"""Tables of one mention a row: each repeats its post.

::

    id,text,start,end,label,score          text,mention,type
    1,Anna met Bo,0,4,PER,0.9              Anna met Bo,Anna,PER
    1,Anna met Bo,9,11,PER,0.8             Anna met Bo,Bo,PER
    2,nobody,,,,                           nobody,,
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

from instruct_mner.data.importing.marks import END_NAMES, LABEL_NAMES, START_NAMES, to_surface
from instruct_mner.data.importing.posts import Fault
from instruct_mner.data.importing.roles import ID_NAMES, TEXT_NAMES, is_nothing
from instruct_mner.data.importing.row_groups import Chosen, Numbered, RowGroup, further_columns, named
from instruct_mner.errors import DataError
from instruct_mner.schema.offsets import place

# Where no offsets stand beside it, a mention must have a name that says so: "text" and "name" are other things as well.
_SURFACES = ("mention", "entity", "entity_text", "mention_text", "surface", "span", "span_text", "phrase")
_ENTITIES = "entities"
# Confidences are of mentions, also where each post has one mention.
_OF_MENTIONS = frozenset({"score"})
# pandas makes floats of a column in which a cell is empty.
_PLACE = re.compile(r"\d+(?:\.0*)?")


@dataclass(frozen=True)
class MentionColumns:
    """Columns of a table of one mention a row.

    Attributes:
        text: Column of the text.
        label: Column of the type.
        start: Column of the first character; ``None`` where the mention is given by its words.
        end: Column of the end.
        surface: Column of the words of the mention, if any.
        id: Column of the id of the post, if any.
    """

    text: str
    label: str
    start: str | None
    end: str | None
    surface: str | None
    id: str | None

    @property
    def roles(self) -> Mapping[str, str]:
        """Columns by role."""
        return {"text": self.text, "entities": _ENTITIES, **({} if self.id is None else {"id": self.id})}

    @property
    def of_mention(self) -> Mapping[str, str]:
        """Columns of the mention, by the fields of an entity."""
        columns = {"label": self.label, "start": self.start, "end": self.end, "text": self.surface}
        return {field: name for field, name in columns.items() if name is not None}

    def note(self, path: Path) -> str:
        """Return a line on how the table is read."""
        places = [repr(name) for name in (self.start, self.end, self.surface) if name is not None]
        posts = " and ".join(repr(name) for name in (self.id, self.text) if name is not None)
        return (
            f"{path}: read one mention a row, its type from {self.label!r}, its place from {', '.join(places)}, its "
            f"post from {posts}"
        )


def mention_columns(rows: Sequence[Mapping[str, object]], chosen: Chosen) -> MentionColumns | None:
    """Return the columns of a table of one mention a row; ``None`` for any other table.

    Args:
        rows: Rows from its beginning.
        chosen: Columns by role, as the user says.
    """
    if chosen.keys() & {"entities", "tags", "tokens"}:
        return None
    text, identifier = named(rows, TEXT_NAMES, chosen, "text"), named(rows, ID_NAMES, chosen, "id")
    label, start, end, surface = (
        named(rows, names, chosen) for names in (LABEL_NAMES, START_NAMES, END_NAMES, _SURFACES)
    )
    surface = None if surface == label else surface
    if start is None or end is None:
        start = end = None
    if text is None or label is None or text == label or (surface is None and start is None):
        return None
    columns = MentionColumns(text, label, start, end, surface, identifier)
    filled = [row for row in rows if not is_nothing(row.get(label))]
    # A mention that is wrong is told with its row; of a table of other things most rows are no mentions.
    return columns if filled and 2 * sum(_fits(row, columns) for row in filled) >= len(filled) else None


def lacks_texts(rows: Sequence[Mapping[str, object]], chosen: Chosen) -> bool:
    """Return true for a table of one mention a row none of whose columns may be the text of the post.

    Args:
        rows: Rows from its beginning.
        chosen: Columns by role, as the user says.
    """
    label, surface, start, end, *others = (
        named(rows, names, chosen)
        for names in (LABEL_NAMES, _SURFACES, START_NAMES, END_NAMES, ID_NAMES, tuple(_OF_MENTIONS))
    )
    known = {label, surface, start, end, *others}
    marked = surface not in {None, label} or None not in {start, end}
    return label is not None and marked and all(name in known for row in rows for name in row)


def gathered_mentions(
    rows: Iterable[Numbered], columns: MentionColumns, chosen: Chosen, path: Path, notes: list[str]
) -> Iterator[tuple[int, dict[str, object] | Fault]]:
    """Yield a row for each post, with its mentions in ``entities``, or what is wrong in its rows.

    Args:
        rows: Rows of the table.
        columns: Columns of the post and of the mention.
        chosen: Columns by role, as the user says.
        path: Name of the table, for messages.
        notes: Lines for the user.

    Raises:
        DataError: Rows of one post do not follow each other, or nobody can tell which rows are one post.
    """

    def post_of(numbered: Numbered) -> tuple[object, object]:
        return (None if columns.id is None else numbered[1].get(columns.id)), numbered[1].get(columns.text)

    groups = [RowGroup(key, _in_order(list(same), columns)) for key, same in groupby(rows, post_of)]
    _check_posts(groups, columns, chosen, path)
    others = further_columns(
        groups, set(columns.of_mention.values()), chosen, path, notes, of_rows=_OF_MENTIONS
    )  # fmt: skip
    for group, other in zip(groups, others, strict=True):
        begun = min(number for number, _ in group.numbered)
        faults = dict(_wrong_rows(group, columns))
        if faults:
            yield from ((number, Fault(f"{path}:{number}", reason)) for number, reason in faults.items())
        else:
            yield begun, {**other, _ENTITIES: [mention for row in group.rows if (mention := _mention(row, columns))]}


def _check_posts(groups: Sequence[RowGroup], columns: MentionColumns, chosen: Chosen, path: Path) -> None:
    seen: set[int] = set()
    for group in groups:
        key = hash(repr(group.key))
        if key in seen:
            raise DataError(
                f"{path}:{group.number}: the table has one mention a row, and this row is of a post that ended above; "
                "sort the table by post"
            )
        seen.add(key)
    if columns.id is None or "id" in chosen or any(len(group.numbered) > 1 for group in groups):
        return
    for one, other in pairwise(groups):
        mentions = [_mention(group.rows[0], columns) for group in (one, other)]
        same = one.rows[0].get(columns.text) == other.rows[0].get(columns.text)
        if same and mentions[0] != mentions[1] and all(mentions):
            raise DataError(
                f"{path}:{other.number}: each row has another {columns.id!r}, also rows of one text; say --column "
                f"id={columns.id} if it tells the posts, or --column meta={columns.id} if it tells the mentions"
            )


def _in_order(rows: list[Numbered], columns: MentionColumns) -> list[Numbered]:
    """Sort rows of one post by their mentions, so that lists of further columns are in the order of its entities."""
    if len(rows) == 1:
        return rows
    if columns.start is not None:
        starts = [row.get(columns.start) for _, row in rows]
        places = [float(str(start)) if _is_place(start) else 0.0 for start in starts]
    else:
        surfaces = [str(to_surface(row.get(columns.surface or "")) or "") for _, row in rows]
        found_at = place(str(rows[0][1].get(columns.text)), surfaces).starts
        places = [0.0 if start is None else float(start) for start in found_at]
    return [rows[number] for number in sorted(range(len(rows)), key=places.__getitem__)]


def _mention(row: Mapping[str, object], columns: MentionColumns) -> dict[str, object]:
    """Return the mention of a row; an empty one where all of its cells say that there is none."""
    mention = {field: row[name] for field, name in columns.of_mention.items() if row.get(name) is not None}
    if "text" in mention:
        mention["text"] = to_surface(mention["text"])
    return {} if all(map(is_nothing, mention.values())) else mention


def _wrong_rows(group: RowGroup, columns: MentionColumns) -> Iterator[tuple[int, str]]:
    """Yield the numbers of rows that are wrong, each with the reason."""
    for number, row in group.numbered:
        if (reason := _why_wrong(row, columns)) is not None:
            yield number, reason
    for (_, row), (number, other) in pairwise(group.numbered):
        mention = _mention(row, columns)
        if "start" in mention and mention == _mention(other, columns):
            yield number, ("the mention stands in another row of this text already; take one out, or give each post an "
                           "id where several have one text")  # fmt: skip


def _why_wrong(row: Mapping[str, object], columns: MentionColumns) -> str | None:
    """Return what is wrong in the mention of a row."""
    mention = _mention(row, columns)
    if not mention:
        return None
    if "label" not in mention or not ({"start", "end"} <= mention.keys() or "text" in mention):
        return f"half a mention, {mention}; give it a type and its place or words, or none"
    for name in (columns.start, columns.end):
        if name is not None and row.get(name) is not None and not _is_place(row[name]):
            return f"{row[name]!r} in column {name!r} is no offset; write a whole number"
    words, text = mention.get("text"), row.get(columns.text)
    if "start" not in mention and isinstance(text, str) and str(words) not in text:
        return f"mention {words!r} does not stand in its text {text[:60]!r}; write it as it stands there"
    return None


def _fits(row: Mapping[str, object], columns: MentionColumns) -> bool:
    """Return true where what the columns hold is a mention of the text."""
    whole = row.get(columns.text)
    if not isinstance(whole, str) or not isinstance(row[columns.label], str):
        return False
    if columns.start is not None and columns.end is not None:
        return _is_place(row.get(columns.start)) and _is_place(row.get(columns.end))
    surface = to_surface(row.get(columns.surface or ""))
    return isinstance(surface, str) and surface in whole


def _is_place(value: object) -> bool:
    return not isinstance(value, bool) and value is not None and _PLACE.fullmatch(str(value)) is not None
