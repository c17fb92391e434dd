"""A file or folder as posts: its format told by its content, its rows read one by one."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any

from instruct_mner.data.column_layout import is_columns
from instruct_mner.data.formats import SPLIT_NAMES
from instruct_mner.data.importing import coco
from instruct_mner.data.importing.argilla import of_record
from instruct_mner.data.importing.chat import of_chat
from instruct_mner.data.importing.generic import to_post
from instruct_mner.data.importing.inline_pictures import with_short_pictures
from instruct_mner.data.importing.label_studio import of_task
from instruct_mner.data.importing.posts import Fault, RawPost
from instruct_mner.data.importing.prodigy import Answers, of_prodigy
from instruct_mner.data.importing.roles import Roles, choose_roles
from instruct_mner.data.importing.tables import Table
from instruct_mner.data.importing.tools import (
    convention_of,
    flatten_instruct_uie,
    of_spacy,
    tell_layout,
)
from instruct_mner.data.joining import TokenCounts
from instruct_mner.data.lenient import RepeatedKeyError, loads, nan_as_null
from instruct_mner.data.unread import check_row
from instruct_mner.errors import DataError
from instruct_mner.files import Line, read_text, stream_lines
from instruct_mner.schema.choices import Decode, ImportLayout, Offsets

Numbered = tuple[str, Any]
Item = RawPost | Fault

ROWS_LOOKED_AT = 2000
"""Rows from the beginning of a file, which tell its columns and the unit of its offsets."""
_HEAD_LINES = 2000
_WRAPPERS = frozenset({"data", "annotations", "examples", "rows"})
# In a text file `[Anna` begins a text. A list goes on in the next line, or with a value.
_BEGINS_JSON = re.compile(r"\{\s*($|[\"}])|\[\s*($|[\[{\"\]]|(-?\d|true|false|null)[^\]]*,)")
_OF_JSON = frozenset({".json", ".jsonl", ".ndjson"})
# The roles of the columns of these are noted.
_WITH_ROLES = frozenset({"columns", "instruct-uie"})
_TABLES = frozenset({".csv", ".xlsx", ".xlsm"})


@dataclass
class Source:
    """A file or folder that is imported.

    Attributes:
        path: The file or folder.
        chosen: Columns by role, as the user says.
        decode: Rule that turns BIO tags into spans.
        text_after: Words after which the text of a conversation begins; empty where a message is the text.
        label_names: Names of tags and labels that are numbers, in their order.
        layout: ImportLayout that the user says; ``None`` where the content tells it.
        notes: Lines for the user, of which some are there after the posts were read.
        newlines_alone: True to read a carriage return and a newline in a cell of a table as a newline.
    """

    path: Path
    chosen: Mapping[str, Sequence[str]] = field(default_factory=dict)
    decode: Decode = "tolerant"
    text_after: str | None = None
    label_names: Sequence[str] = ()
    layout: ImportLayout | None = None
    notes: list[str] = field(default_factory=list)
    newlines_alone: bool = False

    def items(self) -> Iterator[Item]:
        """Read the posts, and everything that is none."""
        left_out: Counter[str] = Counter()
        carried: dict[str, None] = {}
        answers = Answers()
        counts = self._token_counts
        for where, row in self._rows():
            items = self._items_of(row, where, left_out, counts)
            for item in answers.joined(row, items, left_out) if self.told_layout == "prodigy" else items:
                if isinstance(item, RawPost) and self.told_layout not in _WITH_ROLES:
                    carried |= dict.fromkeys(item.meta)
                yield item
        if carried:
            self.notes.append(f"{self.path}: carried along in 'meta': {', '.join(carried)}")
        if +left_out:
            kinds = ", ".join(f"{number} {kind}" for kind, number in sorted((+left_out).items()))
            self.notes.append(f"{self.path}: left out: {kinds}")

    def items_of_line(self, line: Line) -> Iterator[Item]:
        """Read the post of a line of JSON."""
        for where, row in _of_line(line, self.path):
            yield from self._items_of(row, where, Counter(), self._token_counts)

    def _items_of(self, row: Any, where: str, left_out: Counter[str], counts: TokenCounts) -> Iterator[Item]:
        if isinstance(row, Fault):
            yield row
            return
        if row is None:
            left_out["empty item(s) (null)"] += 1
            return
        try:
            yield from (post.joined(counts) for post in self._posts(row, where, left_out))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = str(error) if isinstance(error, ValueError) else f"a row of another layout ({error!r})"
            yield Fault(where, reason)

    @cached_property
    def table(self) -> Table | None:
        """The file as a table, where it is one."""
        suffix = self.path.suffix.lower()
        is_table = suffix in _TABLES or (suffix == ".tsv" and not is_columns(self.path))
        return Table(self.path, self.chosen, self.notes, self.newlines_alone) if is_table else None

    @cached_property
    def head(self) -> list[Any]:
        """Rows from the beginning, as objects, with the beginnings of pictures whose bytes stand in them."""
        rows = islice(
            (with_short_pictures(row) for _, row in self._rows() if not isinstance(row, Fault | None)), ROWS_LOOKED_AT
        )
        return list(rows)

    @cached_property
    def _token_counts(self) -> TokenCounts:
        """Counts of the tokens of all rows whose text they are, for which a file with a column of them is read once."""
        of_objects = self.told_layout in _WITH_ROLES and any(isinstance(row, dict) for row in self.head)
        if not of_objects or "tokens" not in self.roles.columns:
            return TokenCounts()
        rows = (row for _, row in self._rows() if isinstance(row, dict) and self.roles.get(row, "text") is None)
        lists = (tokens for row in rows if isinstance(tokens := self.roles.get(row, "tokens"), list))
        return TokenCounts.of([token for token in tokens if isinstance(token, str)] for tokens in lists)

    @cached_property
    def told_layout(self) -> ImportLayout:
        """The layout of the rows, of which the first must be as the others."""
        if self.layout is not None:
            return self.layout
        layouts = Counter(tell_layout(row) for row in self.head)
        return max(layouts, key=lambda layout: layouts[layout]) if layouts else "columns"

    @property
    def convention(self) -> Offsets | None:
        """Unit of offsets that the tool documents, where the layout names the tool."""
        return next((unit for row in self.head if (unit := convention_of(self.told_layout, row)) is not None), None)

    @cached_property
    def roles(self) -> Roles:
        """The columns of the rows."""
        rows = [flatten_instruct_uie(row) if "Instance" in row else row for row in self.head if isinstance(row, dict)]
        if rows:
            check_row(rows[0], str(self.path))
        told = {} if self.table is None else {role: [name] for role, name in self.table.roles.items()}
        roles = choose_roles(rows, {**told, **self.chosen}, str(self.path))
        self.notes += roles.notes
        return roles

    def _posts(self, row: Any, where: str, left_out: Counter[str]) -> Iterable[RawPost]:
        layout = self.told_layout
        if layout == "spacy":
            return of_spacy(row, where, left_out)
        if layout == "coco":
            return coco.of_content(row, where)
        if not isinstance(row, dict):
            raise ValueError(f"expected an object, found {str(row)[:40]!r}")
        if layout in {"label-studio", "argilla", "prodigy"}:
            post = _of_tool(layout, row, where, left_out)
            return [] if post is None else [post]
        if layout == "chat":
            return of_chat(row, where, self.text_after, left_out)
        flat = flatten_instruct_uie(row) if layout == "instruct-uie" else row
        return [to_post(self._known(flat), self.roles, where, decode=self.decode, tag_names=self.label_names)]

    def _known(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Refuse columns that the first rows did not have: they would be dropped without a word."""
        new = row.keys() - {*self.roles.columns.values(), *self.roles.meta, *self.roles.dropped}
        if any(row[name] is not None for name in new):
            raise ValueError(
                f"column {min(new)!r} is not in the first {ROWS_LOOKED_AT} rows; say --column meta={min(new)}"
            )
        return row

    def _rows(self) -> Iterator[Numbered]:
        if self.table is not None:
            for number, row in self.table.rows():
                yield f"{self.path}:{number}", row
        elif is_json_lines(self.path):
            yield from _json_lines(self.path)
        else:
            rows, others = _json_list(self.path)
            note = f"{self.path}: left out beside the posts: {', '.join(others)}"
            if others and note not in self.notes:
                self.notes.append(note)
            for number, row in enumerate(rows, start=1):
                yield f"{self.path}: item {number}", nan_as_null(row)


def _of_tool(layout: ImportLayout, row: Mapping[str, Any], where: str, left_out: Counter[str]) -> RawPost | None:
    if layout == "label-studio":
        return of_task(row, where, left_out)
    return of_record(row, where, left_out) if layout == "argilla" else of_prodigy(row, where, left_out)


def is_json(path: Path) -> bool:
    """Return true for a file that begins as an object or a list of JSON; texts may begin with a bracket too."""
    first = next((line.text.strip() for line in stream_lines(path) if line.text.strip()), "")
    return first[:1] in {"{", "["} if path.suffix.lower() in _OF_JSON else _BEGINS_JSON.match(first) is not None


def is_json_lines(path: Path) -> bool:
    """Return true for a file of one whole JSON value a line."""
    first = next((line.text for line in stream_lines(path) if line.text.strip()), "")
    if path.suffix.lower() in {".jsonl", ".ndjson"}:
        return True
    try:
        value = json.loads(first)
    except (ValueError, RecursionError):
        return False
    others = sum(bool(line.text.strip()) for line in islice(stream_lines(path), 1, _HEAD_LINES))
    return others > 0 or (isinstance(value, dict) and tell_layout(value) != "columns")


def _json_lines(path: Path) -> Iterator[Numbered]:
    for line in stream_lines(path):
        yield from _of_line(line, path)


def _of_line(line: Line, path: Path) -> Iterator[Numbered]:
    where = f"{path}:{line.number}"
    if line.problem is not None:
        yield where, Fault(where, line.problem.partition(": ")[2])
    elif line.text.strip():
        try:
            yield where, nan_as_null(loads(line.text))
        except RepeatedKeyError as error:
            yield where, Fault(where, str(error))
        except (ValueError, RecursionError) as error:
            yield where, Fault(where, f"not JSON: {error}; a line is one whole object")


def _json_list(path: Path) -> tuple[list[Any], list[str]]:
    """Return the rows of a file, and the names of what stands beside them."""
    try:
        value = loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON: {error}; is the file cut?") from None
    if _is_by_columns(value):
        raise DataError(f"{path}: written by columns, of which each holds a value for every row; write it by rows, in "
                        "pandas to_json(…, orient='records')")  # fmt: skip
    if isinstance(value, dict):
        lists = [
            name
            for name, each in value.items()
            if isinstance(each, list) and isinstance(next((one for one in each if one is not None), None), dict | list)
        ]
        splits = [name for name in lists if name.lower() in {*chain(*SPLIT_NAMES.values())}]
        if splits and len(splits) == len(value):
            raise DataError(
                f"{path}: holds splits ({', '.join(splits)}); write the list of each into a file of its own"
            )
        whole = len(lists) == 1 and lists[0] in _WRAPPERS and not value.keys() & {"text", "tokens", "images"}
        return (list(value[lists[0]]), [name for name in value if name != lists[0]]) if whole else ([value], [])
    if not isinstance(value, list):
        raise DataError(f"{path}: expected a list of posts, found {str(value)[:40]!r}")
    return value, []


def _is_by_columns(value: Any) -> bool:
    """Return true for what pandas' ``to_json`` writes by default: ``{"text": {"0": "Anna", "1": "Bob"}, …}``."""
    if not isinstance(value, dict) or not value or not all(isinstance(each, dict) and each for each in value.values()):
        return False
    rows = next(iter(value.values())).keys()
    return all(map(str.isdecimal, rows)) and all(each.keys() == rows for each in value.values())
