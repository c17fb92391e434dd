"""Entities as exports write them: objects with fields of many names, lists, and mappings of types to words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from instruct_mner.data.importing.posts import Mark
from instruct_mner.schema.records import Box
from instruct_mner.schema.validation_messages import reasons

# Fields are looked up in snake case: `BeginOffset` and `startOffset` are among them.
START_NAMES = ("start", "begin", "start_offset", "begin_offset", "start_char", "start_index", "start_idx", "from", "b")
END_NAMES = ("end", "stop", "end_offset", "end_char", "end_index", "end_idx", "to", "e")
LABEL_NAMES = ("label", "type", "labels", "entity_type", "entity_group", "tag", "class", "category", "entity_label")
SURFACE_NAMES = ("text", "word", "name", "mention", "surface", "value", "phrase", "span", "entity", "entity_text")
_NUMBERS_TOO = ("text", "mention", "surface", "phrase", "entity_text")
_BOX = re.compile(r"box|bnd|rect|region|polygon", re.IGNORECASE)
_OFFSET_PAIRS = ("pos", "offset", "offsets", "position", "span", "char_span", "indices", "idx")
_LENGTHS = ("length", "len", "size")
_KNOWN = frozenset({*START_NAMES, *END_NAMES, *LABEL_NAMES, *SURFACE_NAMES, *_OFFSET_PAIRS, *_LENGTHS, "boxes"})
_WHOLE = re.compile(r"\d+(?:\.0*)?")
_TAG = re.compile(r"[BIESLUM]-")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[\s.-]+")


@lru_cache(1024)
def in_snake_case(name: str) -> str:
    """Return a name of a field as it is looked up: ``begin_offset`` for ``BeginOffset``."""
    return _HUMP.sub("_", name).lower()


def to_marks(value: Any) -> tuple[Mark, ...]:
    """Read a list of entities: objects, ``[start, end, label]``, or a mapping of labels to surfaces.

    Surfaces may have their places, ``{"PER": {"Anna": [[0, 3]]}}``, as in CLUENER
    (https://github.com/CLUEbenchmark/CLUENER2020).

    Raises:
        ValueError: It is no list of entities.
    """
    if isinstance(value, Mapping) and value and all(isinstance(each, list) for each in value.values()):
        columns = list(value.values())
        if (
            set(_with_known_names(value)) & {*START_NAMES, *SURFACE_NAMES}
            and len({len(column) for column in columns}) == 1
        ):
            return to_marks([dict(zip(value, row, strict=True)) for row in zip(*columns, strict=True)])
        if len(value) == 1 and columns[0] and all(isinstance(each, Mapping) for each in columns[0]):
            return to_marks(columns[0])  # a mode for JSON objects asks for {"entities": […]}
        return tuple(mark for label, surfaces in value.items() for mark in marks_of_type(str(label), surfaces))
    if isinstance(value, Mapping) and value and all(isinstance(each, Mapping) for each in value.values()):
        return tuple(mark for label, surfaces in value.items() for mark in _placed_of_type(str(label), surfaces))
    if value == {}:
        return ()
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ValueError(f"the entities are no list but {_short(value)}")
    return tuple(to_mark(each) for each in value)


def marks_of_type(label: str, surfaces: object) -> tuple[Mark, ...]:
    """Return the mentions of a type from the list of their words.

    Raises:
        ValueError: It is no list of texts.
    """
    words = [to_surface(each) for each in surfaces] if isinstance(surfaces, list) else [None]
    if not all(isinstance(each, str) for each in words):
        raise ValueError(f"the mentions of {label!r} are no list of texts but {_short(surfaces)}")
    return tuple(Mark(start=None, end=None, surface=str(each), label=label) for each in words)


def _placed_of_type(label: str, surfaces: Mapping[str, Any]) -> Iterator[Mark]:
    for surface, places in surfaces.items():
        if not isinstance(places, list) or not all(map(_is_pair, places)):
            raise ValueError(f"the places of {surface!r} are no list of [start, end] but {_short(places)}")
        spans = (map(_as_whole, place) for place in places)
        yield from (Mark(start=start, end=end, surface=str(surface), label=label) for start, end in spans)


def to_mark(value: Any) -> Mark:
    """Read an entity.

    Raises:
        ValueError: It has no label, or neither offsets nor a text.
    """
    if isinstance(value, Mapping):
        return _of_object(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        numbers = [each for each in value if type(each) is int]
        texts = [each for each in value if isinstance(each, str)]
        if len(numbers) == 2 and len(texts) in {1, 2} and len(value) == len(numbers) + len(texts):
            label = texts[-1] if isinstance(value[-1], str) else texts[0]
            surface = next((each for each in texts if each is not label), None) if len(texts) == 2 else None
            return Mark(start=numbers[0], end=numbers[1], surface=surface, label=label)
        if len(value) == 2 and len(texts) == 2:
            return Mark(start=None, end=None, surface=texts[0], label=texts[1])
    raise ValueError(f"entity {_short(value)} is neither an object nor [start, end, label]")


def _of_object(given: Mapping[str, Any]) -> Mark:
    value = _with_known_names(given)
    label_name, label = _label(value)
    start, end, read = _offsets(value)
    name, surface = _surface(value, with_numbers=start is None)
    if start is None:
        meant = [key for key in (*START_NAMES, *END_NAMES, *_OFFSET_PAIRS) if _as_whole(value.get(key)) is not None]
        if surface is None or {*meant} - {name}:
            raise ValueError(f"entity {_short(value)} needs start, end and label, or a text and label")
    box_name, boxes = _boxes(value)
    read |= {label_name, name, box_name}
    unread = frozenset(key for key, each in value.items() if key not in read and not _is_null(each))
    for key in unread:
        if _BOX.search(key):
            raise ValueError(
                f"field {key!r} of an entity looks like a box, and its corners and unit are not guessed; write it as "
                "'boxes': [[x0, y0, x1, y1]] in pixels"
            )
        if start is None and _looks_like_offsets(value[key]):
            raise ValueError(f"field {key!r} of an entity looks like its offsets; call them 'start' and 'end'")
    if unread:
        written = {in_snake_case(str(name)): str(name) for name in given}
        unread = frozenset(written.get(name, name) for name in unread)
    return Mark(start=start, end=end, surface=surface, label=label, boxes=to_boxes(boxes), unread=unread)


def _with_known_names(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an object with its fields in snake case, where that makes no two of them one."""
    if value.keys() <= _KNOWN:
        return value
    known = {in_snake_case(str(name)): each for name, each in value.items()}
    return known if len(known) == len(value) else value


def _surface(value: Mapping[str, Any], *, with_numbers: bool) -> tuple[str | None, str | None]:
    """Return the field of the words of an entity, and the words; beside offsets a number may be something else."""
    name = next((name for name in SURFACE_NAMES if isinstance(value.get(name), str)), None)
    if name is None and with_numbers:
        name = next((name for name in _NUMBERS_TOO if _as_whole(value.get(name)) is not None), None)
    return name, None if name is None else str(to_surface(value[name]))


def to_surface(value: object) -> object:
    """Return the words of a mention, also where a table or another program made a whole number of them."""
    whole = None if isinstance(value, str) else _as_whole(value)
    return value if whole is None else str(whole)


def _boxes(value: Mapping[str, Any]) -> tuple[str | None, Any]:
    """Return the field of the boxes of an entity, and what it holds."""
    there = [name for name in ("boxes", "box") if not _is_null(value.get(name))]
    if len(there) > 1:
        raise ValueError(f"entity {_short(value)} has both 'boxes' and 'box'; write all of its boxes into 'boxes'")
    return (there[0], value[there[0]]) if there else (None, None)


def _is_null(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _offsets(value: Mapping[str, Any]) -> tuple[int | None, int | None, set[str | None]]:
    """Return start and end of an entity, both or none, and the fields that they stand in.

    They are numbers, whole floats or digits, in fields of their own, in a pair, in an object, or as start and length.
    """
    begin_name, end_name = _name_of(value, START_NAMES), _name_of(value, END_NAMES)
    begin, end = _as_whole(value.get(begin_name or "")), _as_whole(value.get(end_name or ""))
    if begin is not None and end is not None:
        return begin, end, {begin_name, end_name}
    for name in _OFFSET_PAIRS:
        pair = value.get(name)
        if isinstance(pair, Mapping):
            first, last, _ = _offsets(_with_known_names(pair))
        elif isinstance(pair, Sequence) and not isinstance(pair, str) and len(pair) == 2:
            first, last = map(_as_whole, pair)
        else:
            continue
        if first is not None and last is not None:
            return first, last, {name}
    length_name = next((name for name in _LENGTHS if _as_whole(value.get(name)) is not None), None)
    if begin is None:
        begin_name = next((name for name in _OFFSET_PAIRS if _as_whole(value.get(name)) is not None), None)
        begin = _as_whole(value.get(begin_name or ""))
    if begin is not None and length_name is not None and end_name is None:
        return begin, begin + (_as_whole(value[length_name]) or 0), {begin_name, length_name}
    return None, None, set()


def _name_of(value: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """Return the first of some fields that is filled."""
    return next((name for name in names if value.get(name) is not None), None)


def _as_whole(value: object) -> int | None:
    """Return a whole number, also one that a table or another program wrote as digits or as a float."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value.strip().partition(".")[0])
    return value if isinstance(value, int) else None


def _looks_like_offsets(value: Any) -> bool:
    if isinstance(value, Mapping):
        return _name_of(value, START_NAMES) is not None and _name_of(value, END_NAMES) is not None
    return _is_pair(value)


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(_as_whole(each) is not None for each in value)


def _label(value: Mapping[str, Any]) -> tuple[str, str]:
    """Return the field of the type of an entity, and the type."""
    name = _name_of(value, LABEL_NAMES)
    if name is None and isinstance(value.get("entity"), str) and set(value) & set(START_NAMES) and "word" in value:
        name = "entity"
        if _TAG.match(value[name]):
            raise ValueError(
                f"{value[name]!r} is the tag of a token: join the tokens of a mention (transformers' pipeline does so "
                "with aggregation_strategy='simple')"
            )
    if name is None:
        raise ValueError(f"entity {_short(value)} needs start, end and label")
    label = value[name]
    if isinstance(label, list):
        if len(label) != 1:
            raise ValueError(f"entity {_short(value)} has {len(label)} labels; give it one")
        label = label[0]
    if not isinstance(label, str):
        raise ValueError(f"label {label!r} is a number without a name; name it (--label-names)")
    return name, label


def to_boxes(value: Any) -> tuple[Box, ...] | None:
    """Read boxes in pixels: one or several of ``[x0, y0, x1, y1]``, or objects of the native format.

    Raises:
        ValueError: They are no boxes.
    """
    if _is_null(value):
        return None
    if isinstance(value, Sequence) and len(value) == 4 and all(isinstance(each, int | float) for each in value):
        value = [value]
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ValueError(f"boxes {_short(value)} are no list of [x0, y0, x1, y1]")
    return tuple(_to_box(box) for box in value)


def _to_box(value: Any) -> Box:
    try:
        return Box.model_validate(value if isinstance(value, Mapping) else {"box": value})
    except ValidationError as error:
        raise ValueError(f"box {_short(value)}: {'; '.join(reasons(error, Box))}") from None


def _short(value: Any) -> str:
    text = repr(dict(value) if isinstance(value, Mapping) else value)
    return text if len(text) <= 80 else f"{text[:77]}…"
