"""The object around a list: its list has the same text and tokens as one that was written alone."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instruct_mner.engines.engine import Completion, Token
from instruct_mner.engines.schema_root import in_object, list_alone

ENTITIES = st.lists(
    st.fixed_dictionaries({"text": st.text(max_size=5), "box": st.lists(st.integers(0, 9), max_size=2)}), max_size=4
)


def cut(text: str, places: set[int]) -> tuple[Token, ...]:
    """Return tokens that end at some places."""
    edges = [0, *sorted(place for place in places if 0 < place < len(text)), len(text)]
    return tuple(Token(start, end, -float(end)) for start, end in pairwise(edges))


@given(ENTITIES, st.sampled_from([None, 1]), st.sets(st.integers(0, 80)), st.sampled_from(["", " ", "\n"]))
def test_the_list_is_what_stands_in_the_object(
    entities: list[Any], indent: int | None, places: set[int], blank: str
) -> None:
    text = blank + json.dumps({"entities": entities}, indent=indent) + blank
    alone = list_alone(Completion(text, cut(text, places)))
    assert json.loads(alone.text) == entities
    assert alone.text in text
    # Its tokens cover it without a gap, each with the probability of the token that it is a piece of.
    covered = [position for token in alone.tokens for position in range(token.start, token.end)]
    assert covered == list(range(len(alone.text)))
    offset = text.index(alone.text)
    by_place = {place: token.logprob for token in cut(text, places) for place in range(token.start, token.end)}
    assert all(token.logprob == by_place[token.start + offset] for token in alone.tokens)


@pytest.mark.parametrize(
    ("text", "finished", "alone"),
    [
        ('{"entities":[{"text":"Ann","box":[1]}', False, '[{"text":"Ann","box":[1]}'),
        ('{"entities":[{"text":"Ann"}', False, '[{"text":"Ann"}'),
        ('{"entities":[', False, "["),
        ('[{"text":"Ann"}]', True, '[{"text":"Ann"}]'),
        ('{"PER":["Ann"]}', True, '{"PER":["Ann"]}'),
        ("", True, ""),
    ],
)
def test_cut_answers_and_others(text: str, finished: bool, alone: str) -> None:
    assert list_alone(Completion(text, finished=finished)).text == alone


def test_the_root_is_an_object_with_the_list_alone() -> None:
    schema = in_object({"type": "array"})
    assert schema == {
        "type": "object",
        "properties": {"entities": {"type": "array"}},
        "required": ["entities"],
        "additionalProperties": False,
    }
