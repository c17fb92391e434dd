"""Entities given by all of their tokens."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instruct_mner.data.importing.marks import in_snake_case
from instruct_mner.data.importing.token_indices import are_of_tokens, with_spans


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), min_size=1, max_size=5))
def test_spans_hold_the_tokens(spans: list[tuple[int, int]]) -> None:
    entities = [{"index": list(range(first, first + number)), "type": "PER"} for first, number in spans]
    assert are_of_tokens(entities)
    read = with_spans(entities)
    assert [(each["start"], each["end"]) for each in read] == [(first, first + number) for first, number in spans]
    assert all(each["type"] == "PER" and "index" not in each for each in read)


@pytest.mark.parametrize("indices", [[0, 2], [1, 0], [3, 3]])
def test_tokens_that_do_not_follow_each_other_are_refused(indices: list[int]) -> None:
    with pytest.raises(ValueError, match="do not follow each other"):
        with_spans([{"index": indices, "type": "PER"}])


@pytest.mark.parametrize(
    "entities",
    [None, [], {}, [{"index": []}], [{"index": 1}], [{"index": [True]}], [{"index": ["1"]}], [{"start": 0}], [[0, 1]],
     [{"index": [0]}, {"start": 0}]],
)  # fmt: skip
def test_what_lists_no_tokens(entities: Any) -> None:
    assert not are_of_tokens(entities)


@pytest.mark.parametrize(
    ("written", "known"),
    [("BeginOffset", "begin_offset"), ("startOffset", "start_offset"), ("Sentence #", "sentence_#"), ("id", "id")],
)
def test_names_of_fields(written: str, known: str) -> None:
    assert in_snake_case(written) == known
