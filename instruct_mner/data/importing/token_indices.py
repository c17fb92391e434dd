"""Entities given by the indices of all of their tokens, as in the data of W2NER and its followers.

::

    {"sentence": ["New", "York", "won"], "ner": [{"index": [0, 1], "type": "LOC"}]}

Source: https://github.com/ljynlp/W2NER
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeGuard

_INDEX = "index"


def are_of_tokens(entities: object) -> TypeGuard[Sequence[Mapping[str, object]]]:
    """Return true for a list of entities each of which lists its tokens."""
    return isinstance(entities, list) and bool(entities) and all(map(_indices, entities))


def _indices(entity: object) -> list[int]:
    """Return the tokens of an entity; none where it does not list them."""
    indices = entity.get(_INDEX) if isinstance(entity, Mapping) else None
    return indices if isinstance(indices, list) and all(type(each) is int for each in indices) else []


def with_spans(entities: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """Return entities with the first of their tokens and one past the last in the place of all.

    Raises:
        ValueError: The tokens of an entity do not follow each other.
    """
    return [
        {**{name: value for name, value in entity.items() if name != _INDEX}, **_span_of(_indices(entity))}
        for entity in entities
    ]


def _span_of(indices: Sequence[int]) -> dict[str, int]:
    if indices != list(range(indices[0], indices[0] + len(indices))):
        raise ValueError(
            f"an entity has the tokens {indices}, which do not follow each other, and entities are spans of the text; "
            "split it, or take it out"
        )
    return {"start": indices[0], "end": indices[-1] + 1}
