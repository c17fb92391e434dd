r"""Rows of JSON as other programs write them, completed before they are checked.

pandas and Hugging Face write every column of every row, and an index; others leave out what follows from the rest::

    {"id": "1", "text": "Anna left", "images": null, "context": {"caption": null, "tags": null}, "__index_level_0__": 0,
     "entities": [{"start": 0, "end": 4, "label": "PER"}]}

Nulls and ``NaN`` are left out, a single picture becomes a list, and the text of an entity is filled from its offsets.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, TypeVar

Row = TypeVar("Row")

# From here on neighbouring whole numbers are one float.
_EXACT = 2**53
INDEX_COLUMNS = frozenset({"__index_level_0__", "Unnamed: 0", "Unnamed: 0.1"})
"""Columns in which pandas keeps the number of a row."""


class RepeatedKeyError(ValueError):
    """A JSON object with a key that is given twice, of which a parser takes the last without a word."""


def unique_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its members; the hook of ``json.loads``.

    Raises:
        RepeatedKeyError: A key is given twice.
    """
    values = dict(pairs)
    if len(values) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        key = next(key for key, count in counts.items() if count > 1)
        raise RepeatedKeyError(f"key {key!r:.80} is given twice in one object (duplicate); keep one of them")
    return values


def loads(text: str) -> Any:
    """Parse JSON and refuse repeated keys.

    Raises:
        RepeatedKeyError: A key is given twice.
        ValueError: It is not JSON.
        RecursionError: It is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=unique_object)


def nan_as_null(row: Row) -> Row | dict[str, object]:
    """Return a row with null for every field that is ``NaN``, which pandas writes for nothing."""
    if not isinstance(row, dict) or not any(isinstance(value, float) and math.isnan(value) for value in row.values()):
        return row
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}


def without_nulls(value: Any) -> Any:
    """Return a value without the members that are null, whatever the depth; nulls in lists stay."""
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [without_nulls(inner) for inner in value]
    return value


def completed(row: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """Complete a row of the native fields.

    Returns:
        The row, and the number of entities whose text was filled from their offsets.
    """
    row = nan_as_null(dict(row))
    meta = row.get("meta")
    values = {key: without_nulls(value) for key, value in row.items() if value is not None and key != "meta"}
    if meta is not None:
        values["meta"] = meta
    for name in INDEX_COLUMNS & values.keys():
        del values[name]
    if "images" in values:
        values["images"] = _picture_names(values["images"])
    identifier = values.get("id")
    if isinstance(identifier, float) and identifier.is_integer() and abs(identifier) < _EXACT:
        values["id"] = str(int(identifier))  # of a column in which pandas found a null
    text, entities = values.get("text"), values.get("entities")
    if not isinstance(text, str) or not isinstance(entities, list):
        return values, 0
    filled = [_with_text(_without_nan_boxes(entity), text) for entity in entities]
    values["entities"] = filled
    return values, sum("text" in new and "text" not in old for new, old in zip(filled, entities, strict=True)
                       if isinstance(old, dict))  # fmt: skip


def _picture_names(images: Any) -> Any:
    """Return a list of names: of one picture too, without nulls and empty names, and of Hugging Face's objects."""
    listed = images if isinstance(images, list) else [images]
    names = [each["path"] if isinstance(each, dict) and isinstance(each.get("path"), str) else each for each in listed]
    return [name for name in names if name is not None and name != ""]


def _without_nan_boxes(entity: Any) -> Any:
    boxes = entity.get("boxes") if isinstance(entity, dict) else None
    if not (isinstance(boxes, float) and math.isnan(boxes)):
        return entity
    return {key: value for key, value in entity.items() if key != "boxes"}


def _with_text(entity: Any, text: str) -> Any:
    if not isinstance(entity, dict) or "text" in entity:
        return entity
    start, end = entity.get("start"), entity.get("end")
    whole = type(start) is int and type(end) is int and 0 <= start < end <= len(text)
    return {**entity, "text": text[start:end]} if whole else entity
