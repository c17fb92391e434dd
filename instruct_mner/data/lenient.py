r"""Rows of JSON as other programs write them, completed before they are checked.

pandas and Hugging Face write every column of every row, and an index; others leave out what follows from the rest::

    {"id": "1", "text": "Anna left", "images": null, "context": {"caption": null, "tags": null}, "__index_level_0__": 0,
     "entities": [{"start": 0, "end": 4, "label": "PER"}]}

Nulls are left out, a single picture becomes a list, and the text of an entity is filled from its offsets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

INDEX_COLUMNS = frozenset({"__index_level_0__", "Unnamed: 0"})
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
        keys = [key for key, _ in pairs]
        key = next(key for key in keys if keys.count(key) > 1)
        raise RepeatedKeyError(f"key {key!r} is given twice in one object (duplicate); keep one of them")
    return values


def loads(text: str) -> Any:
    """Parse JSON and refuse repeated keys.

    Raises:
        RepeatedKeyError: A key is given twice.
        ValueError: It is not JSON.
        RecursionError: It is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=unique_object)


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
    meta = row.get("meta")
    values = {key: without_nulls(value) for key, value in row.items() if value is not None and key != "meta"}
    if meta is not None:
        values["meta"] = meta
    for name in INDEX_COLUMNS & values.keys():
        del values[name]
    if isinstance(values.get("images"), str):
        values["images"] = [values["images"]]
    text, entities = values.get("text"), values.get("entities")
    if not isinstance(text, str) or not isinstance(entities, list):
        return values, 0
    filled = [_with_text(entity, text) for entity in entities]
    values["entities"] = filled
    return values, sum(new is not old for new, old in zip(filled, entities, strict=True))


def _with_text(entity: Any, text: str) -> Any:
    if not isinstance(entity, dict) or "text" in entity:
        return entity
    start, end = entity.get("start"), entity.get("end")
    whole = type(start) is int and type(end) is int and 0 <= start < end <= len(text)
    return {**entity, "text": text[start:end]} if whole else entity
