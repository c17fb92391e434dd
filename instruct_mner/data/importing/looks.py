"""Columns that look like a picture, a box, labels or an id, by their names and by what they hold."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from instruct_mner.data.importing.inline_pictures import is_inline
from instruct_mner.data.importing.marks import END_NAMES, START_NAMES, in_snake_case
from instruct_mner.data.lenient import INDEX_COLUMNS
from instruct_mner.data.picture_files import PICTURE_SUFFIXES
from instruct_mner.data.tag_schemes import are_chunks, is_tag, types_of

_NAMES = {
    "a picture": re.compile(
        r"(^|_)(ima?ge?s?|pic|pics|pictures?|photos?|media|files?_?names?|jpe?g|png)(_|$|\d)", re.I
    ),
    "a box": re.compile(
        r"(^|_)(b?box(es)?|bounding_?box(es)?|bndbox|objects?|regions?|rect(angle)?s?|polygons?|xyxy|xywh|rois?)(_|$|\d)",
        re.I,
    ),
    "labels": re.compile(
        r"(^|_)(labels?|tags?|entit(y|ies)|ner|spans?|annotations?|mentions?|ents|bioe?s?|iob2?|bilou)(_|$|\d)", re.I
    ),
    "an id": re.compile(r"(^|_)(id|ids|uuid|guid|identifier)$", re.I),
}
_CORNERS = ("xmin", "x_min", "x0", "x1", "left", "width", "bndbox", "bbox")
# What tools add to every row, known to be none of these.
_OF_TOOLS = frozenset({
    "pos_tags", "chunk_tags", "_input_hash", "_task_hash", "_session_id", "_annotator_id", "_view_id",
    "_timestamp", "relations", "Comments", "cats", "annotator", "annotation_id", "ltokens", "rtokens",
    "orig_id",
})  # fmt: skip


# Twitter's own field `entities`, links and hashtags of a post, which are no annotation: a field of the items of each.
_OF_TWITTER = {
    "hashtags": None, "cashtags": None, "symbols": None, "urls": None, "media": None, "polls": None,
    "user_mentions": None, "mentions": "username", "annotations": "normalized_text",
}  # fmt: skip


def are_of_twitter(values: Sequence[object]) -> bool:
    """Return true for values of the field ``entities`` of posts as Twitter's API gives them.

    Source: https://docs.x.com/x-api/fundamentals/data-dictionary
    """
    objects = [value for value in values if isinstance(value, Mapping) and value]
    return bool(objects) and all(map(_is_of_twitter, objects))


def _is_of_twitter(value: Mapping[str, object]) -> bool:
    return value.keys() <= _OF_TWITTER.keys() and all(
        isinstance(items, list)
        and all(isinstance(item, Mapping) and _OF_TWITTER[name] in {None, *item} for item in items)
        for name, items in value.items()
    )


def is_known_to_hold_none(name: str) -> bool:
    """Return true for a column that a tool or pandas adds to every row."""
    return name in _OF_TOOLS or name in INDEX_COLUMNS


def looks_like(name: str, values: Sequence[Any] = ()) -> str | None:
    """Return the kind of column that must not be guessed; ``None`` for any other.

    Args:
        name: Name of the column.
        values: Values from its beginning, none of them null.
    """
    if is_known_to_hold_none(name):
        return None
    by_value = {_kind_of(value) for value in values if value not in ("", [], {})}
    if "a picture" in by_value:
        return "a picture"
    # Of lists of numbers some are as long as a box.
    if len(by_value) == 1 and (kind := by_value.pop()) is not None:
        return kind
    return next((kind for kind, pattern in _NAMES.items() if pattern.search(in_snake_case(name))), None)


def _kind_of(value: Any) -> str | None:
    """Return the kind of a value whatever the name of its column, in any language."""
    if isinstance(value, str):
        return "a picture" if _names_picture(value) else None
    if isinstance(value, Mapping):
        is_picture = {"bytes", "path"} <= value.keys()
        return "a picture" if is_picture else "labels" if _is_span(value) else None
    return _kind_of_list(value) if isinstance(value, list) and value else None


def _kind_of_list(value: list[Any]) -> str | None:
    if all(isinstance(each, str) for each in value):
        tags = all(map(is_tag, value)) and types_of(value) and not are_chunks(value)
        return "a picture" if all(map(_names_picture, value)) else "labels" if tags else None
    if all(map(_is_span, value)):
        return "labels"
    return "a box" if _is_box(value) or all(map(_is_box, value)) else None


def _names_picture(value: str) -> bool:
    return is_inline(value) or (
        " " not in value.strip() and value.strip().lower().partition("?")[0].endswith(PICTURE_SUFFIXES)
    )


def _is_span(value: Any) -> bool:
    """Return true for an entity: an object with a start and an end, or two numbers and a label."""
    if isinstance(value, Mapping):
        names = {in_snake_case(str(name)) for name in value}
        return not names.isdisjoint(START_NAMES) and not names.isdisjoint(END_NAMES)
    if not isinstance(value, list) or len(value) not in {3, 4}:
        return False
    return sum(type(each) is int for each in value) == 2 and any(isinstance(each, str) for each in value)


def _is_box(value: Any) -> bool:
    if isinstance(value, Mapping):
        return bool(value.keys() & set(_CORNERS))
    return isinstance(value, list) and len(value) == 4 and all(type(each) in {int, float} for each in value)
