"""Texts that UTF-8 cannot hold are refused in every record, before a tokenizer or an encoder fails on them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from instruct_mner.errors import ConfigError, DataError
from instruct_mner.schema.record import is_whole
from instruct_mner.schema.records import Example
from instruct_mner.tagging.input import PostSource
from instruct_mner.tagging.labels import parse_labels


@pytest.mark.parametrize(
    "values",
    [{"id": "1", "text": "a\udcff"}, {"id": "\ud83d", "text": "a"}, {"id": "1", "text": "a", "images": ["\ud83d"]}],
)
def test_half_of_a_surrogate_pair_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="holds half of a surrogate pair"):
        Example.model_validate(values)


def test_flags_with_bytes_that_are_not_utf8_are_told() -> None:
    with pytest.raises(DataError, match="--text: text holds half of a surrogate pair"):
        PostSource(text="a\udcff").load()
    with pytest.raises(ConfigError, match="name holds half of a surrogate pair"):
        parse_labels("PER,a\udcff")


@pytest.mark.parametrize(("text", "whole"), [("", True), ("a", True), ("é😍", True), ("é\udcff", False)])
def test_whole_texts(text: str, whole: bool) -> None:
    assert is_whole(text) is whole
