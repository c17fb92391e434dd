"""Roles of the columns of a file: by known names, by the user's word, and else a question.

Nothing is guessed and nothing is lost: a column that looks like a picture, a label, a box or an id and is none of the
known ones stops the import with the ways to say what it is; every other column is carried along in ``meta``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from shlex import quote
from typing import Any

from instruct_mner.data.importing.looks import are_of_twitter, is_known_to_hold_none, looks_like
from instruct_mner.data.importing.token_indices import are_of_tokens
from instruct_mner.data.lenient import INDEX_COLUMNS
from instruct_mner.data.tag_schemes import is_tag, types_of
from instruct_mner.errors import ConfigError, DataError, suggest

ROLES = ("id", "text", "tokens", "tags", "entities", "images", "context", "meta")

_NAMES: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "_id", "uid", "guid", "post_id", "tweet_id", "sent_id", "sentence_id", "doc_id"),
    "text": ("text", "sentence", "content", "tweet", "post", "raw_text", "sent", "body", "raw", "full_text"),
    "tokens": ("tokens", "words", "tokenized_text", "token", "word", "tokenized"),
    "tags": ("ner_tags", "tags", "labels", "ner", "label", "tag", "bio_tags", "bio", "ner_labels"),
    "entities": ("entities", "spans", "label", "labels", "ner", "annotations", "mentions", "ents", "entity_list"),
    "images": (
        "images", "image", "img", "img_id", "image_id", "imgid", "img_path", "image_path", "img_name", "image_name",
        "image_file", "file_name", "filename", "picture", "pictures", "photo",
    ),
    "context": ("context",),
}  # fmt: skip
TEXT_NAMES = _NAMES["text"]
"""Names of a column of texts."""
ID_NAMES = _NAMES["id"]
"""Names of a column of ids."""
IMAGE_NAMES = _NAMES["images"]
"""Names of a column of pictures."""
_VALUES_LOOKED_AT = 20
_ROLE_OF = {"a picture": "images", "a box": None, "labels": "entities", "an id": "id"}
_SHAPES = {
    "images": "no name of a file",
    "entities": 'no list of entities such as [{"start": 0, "end": 4, "label": "PER"}]',
    "id": "no number and no name",
}
NOTHING = frozenset({"nan", "NaN", "None", "null", "NULL", "<NA>", "NaT", "N/A", "#N/A", "-"})
"""Words that Python, pandas, databases and spreadsheets write for nothing."""


def is_nothing(value: object) -> bool:
    """Return true for a cell that is empty, or holds a word for nothing."""
    return value is None or (isinstance(value, str) and value in NOTHING)


@dataclass(frozen=True)
class Roles:
    """Columns by what they hold.

    Attributes:
        columns: Name by role, for all roles but ``meta``.
        meta: Columns that are carried along.
        dropped: Columns that are known to hold nothing of the post: an index.
    """

    columns: Mapping[str, str]
    meta: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)

    def get(self, row: Mapping[str, Any], role: str) -> Any:
        """Return the value of a role in a row, or ``None``."""
        return row.get(self.columns[role]) if role in self.columns else None


def parse_columns(chosen: Sequence[str]) -> dict[str, list[str]]:
    """Read ``--column ROLE=NAME`` options.

    Raises:
        ConfigError: One is not of this form, or names no role.
    """
    columns: dict[str, list[str]] = {}
    for each in chosen:
        role, sign, name = each.partition("=")
        if not sign or not name or role not in ROLES:
            hint = "" if role in ROLES else f"; {role!r} is no role{suggest(role, ROLES)}"
            raise ConfigError(f"--column {each}: write ROLE=NAME, with a role of {', '.join(ROLES)}{hint}")
        columns.setdefault(role, []).append(name)
    return columns


def choose_roles(rows: Sequence[Mapping[str, Any]], chosen: Mapping[str, Sequence[str]], source: str) -> Roles:
    """Choose the columns of a file.

    Args:
        rows: Rows from its beginning, by whose values columns of one name are told apart.
        chosen: Columns by role, as the user says.
        source: Name of the file, for messages.

    Raises:
        DataError: A column is not there, there is no text, or a column is a question.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    values = {name: [row[name] for row in rows if row.get(name) is not None] for name in names}
    taken = _chosen(chosen, names, source)
    known = {*taken.values(), *chosen.get("meta", ())}
    for role in ("tokens", "text", "tags", "entities", "images", "id", "context"):
        if role in taken:
            continue
        there = [
            name
            for name in names
            if name not in known and name.lower() in _NAMES[role] and values[name] and _fits(role, name, values[name])
        ]
        there.sort(key=lambda name: _NAMES[role].index(name.lower()))
        exact = there[:1] if there and there[0] in _NAMES[role][:2] else []
        if len(there) > 1 and not exact:
            raise DataError(question(source, f"columns {', '.join(map(repr, there))} may each hold its {role}",
                                      role, there[0]))  # fmt: skip
        if there:
            taken[role] = there[0]
            known.add(there[0])
    if not taken.keys() & {"text", "tokens"} and (name := _text_of_tokens(taken, values)) is not None:
        taken["tokens"] = name
        known.add(name)
    _refuse_strings_as_tokens(taken, names, values, source)
    _ask(names, known, values, source)
    if not taken.keys() & {"text", "tokens"}:
        raise DataError(
            f"{source}: no column is known to hold the text or its tokens; found: {', '.join(names)}; say which with "
            "--column text=NAME or --column tokens=NAME"
        )
    dropped = tuple(name for name in names if name in INDEX_COLUMNS)
    carried = dict.fromkeys([*names, *chosen.get("meta", ())])
    meta = tuple(name for name in carried if name not in {*taken.values(), *dropped})
    return Roles(taken, meta, dropped, tuple(_notes(taken, meta, dropped, values, source)))


def _chosen(chosen: Mapping[str, Sequence[str]], names: Sequence[str], source: str) -> dict[str, str]:
    for role, columns in chosen.items():
        for name in columns:
            # Columns that are carried along may come with later rows.
            if name not in names and role != "meta":
                hint = suggest(name, names)
                raise DataError(
                    f"{source}: --column {role}={name}: there is no such column{hint}; found: {', '.join(names)}"
                )
        if role != "meta" and len(columns) > 1:
            raise DataError(f"{source}: --column {role} is given twice; name one column")
    return {role: columns[0] for role, columns in chosen.items() if role != "meta"}


def _fits(role: str, name: str, values: Sequence[Any]) -> bool:
    """Return true for values of the shape of a role; a name alone tells little of ``label`` or ``tags``."""
    filled = [value for value in values if not is_nothing(value)]
    if not filled:  # each such cell is told with its row
        return name.lower() == role or role in {"text", "images", "id"}
    first = next((value for value in filled if value not in ([], {}, "")), filled[0])
    item = first[0] if isinstance(first, list) and first else None
    is_list = isinstance(first, list)
    fits = {
        "tokens": is_list and (item is None or isinstance(item, str)),
        "text": isinstance(first, str | int | float),
        "tags": (is_list and isinstance(item, str | int) and not isinstance(item, bool)) or are_tags(first),
        "entities": (
            (isinstance(first, dict) and not are_of_twitter(filled))
            or (is_list and (item is None or isinstance(item, list | dict)))
        ),
        "images": isinstance(first, str | int | list | dict),
        "id": isinstance(first, str | int) or (isinstance(first, float) and first.is_integer()),
        "context": isinstance(first, dict),
    }
    return fits[role]


def are_tags(value: object) -> bool:
    """Return true for the tags of a post in one string, ``B-PER I-PER O``."""
    return isinstance(value, str) and bool(types_of(tags := value.split())) and all(map(is_tag, tags))


def _text_of_tokens(taken: Mapping[str, str], values: Mapping[str, Sequence[Any]]) -> str | None:
    """Return a column called as a text that holds tokens, which the tags or entities beside it show."""
    shown = "tags" in taken or any(map(are_of_tokens, values.get(taken.get("entities", ""), ())))
    there = (name for name in values if name.lower() in TEXT_NAMES and values[name])
    return next((name for name in there if shown and _fits("tokens", name, values[name])), None)


def _refuse_strings_as_tokens(
    taken: Mapping[str, str], names: Sequence[str], values: Mapping[str, Sequence[Any]], source: str
) -> None:
    if "tokens" in taken:
        if any(isinstance(value, str) and not is_nothing(value) for value in values[taken["tokens"]]):
            raise DataError(f"{source}: column {taken['tokens']!r} holds a string, which is no list of tokens; "
                            f"say --column text={taken['tokens']} if it is the text")  # fmt: skip
        return
    strings = [name for name in names if name.lower() in _NAMES["tokens"] and name not in taken.values()]
    if strings and "text" not in taken:
        raise DataError(
            f"{source}: column {strings[0]!r} holds a string, not a list of tokens; say --column text={strings[0]} if "
            "it is the text of a post"
        )


def _ask(names: Sequence[str], known: set[str], values: Mapping[str, Sequence[Any]], source: str) -> None:
    """Stop at a column that looks like what must not be guessed."""
    for name in names:
        if name in known or is_known_to_hold_none(name) or not any(values[name]) or are_of_twitter(values[name]):
            continue
        kind = looks_like(name, values[name][:_VALUES_LOOKED_AT])
        if kind == "an id" and any(column in known for column in _NAMES["id"]):
            continue
        if kind is not None:
            raise DataError(_of_kind(source, kind, name, values[name]))


def _of_kind(source: str, kind: str, name: str, values: Sequence[Any]) -> str:
    """Return the question on a column of some kind; no role is named that its values cannot have."""
    role = _ROLE_OF[kind]
    if role is None or not values or _fits(role, name, values):
        return question(source, f"column {name!r} looks like {kind}", role, name)
    wrong = next((value for value in values if not is_nothing(value)), values[0])
    reason = f"column {name!r} looks like {kind}, but {str(wrong)[:40]!r} is {_SHAPES[role]}"
    return question(source, reason, None, name)


def asks_about(name: str, source: str, values: Sequence[Any] = ()) -> str | None:
    """Return the question that a column raises which is none of the known ones; ``None`` for one that raises none."""
    kind = looks_like(name, values)
    return None if kind is None else _of_kind(source, kind, name, values)


def question(source: str, reason: str, role: str | None, name: str) -> str:
    """Return the message on a column that is not guessed, with the ways to say what it is."""
    say = f"--column {quote(f'{role}={name}')} if it is, or " if role is not None else ""
    return (
        f"{source}: {reason}, and that is not guessed; with instruct-mner import {quote(source)} say "
        f"{say}--column {quote(f'meta={name}')} to carry the column along"
    )


def _notes(
    taken: Mapping[str, str],
    meta: Sequence[str],
    dropped: Sequence[str],
    values: Mapping[str, Sequence[Any]],
    source: str,
) -> list[str]:
    others = [f"{role} from {name!r}" for role, name in taken.items() if name != role]
    notes = [f"{source}: read {', '.join(others)}"] if others else []
    carried = [name for name in meta if values.get(name)]
    if carried:
        notes.append(f"{source}: carried along in 'meta': {', '.join(carried)}")
    empty = [name for name in meta if name in values and not values[name]]
    if empty or dropped:
        notes.append(f"{source}: left out, because they are empty or an index: {', '.join([*empty, *dropped])}")
    return notes
