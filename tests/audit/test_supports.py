"""Numbers of gold entities of the published test sets, counted on the files themselves."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from instruct_mner.audit.supports import TEST_SUPPORTS
from instruct_mner.data.loading import load_split
from instruct_mner.schema.choices import Decode

FILES = {
    "Twitter-2015 (original labels), test": "conll:twitter2015/test.txt",
    "Twitter-2015 (repaired labels), test": "conll:twitter2015_repaired/test.txt",
    "Twitter-2017, test": "conll:twitter2017/test.txt",
}


@pytest.mark.prove
@pytest.mark.parametrize("decode", ["tolerant", "strict"])
@pytest.mark.parametrize("name", FILES)
def test_counts_are_those_of_the_files(name: str, decode: Decode, shared_data: Path) -> None:
    form, _, path = FILES[name].partition(":")
    posts = load_split(f"{form}:{shared_data / path}", decode=decode, missing_image="text").examples
    counts = Counter(entity.label for post in posts for entity in post.gold)
    support = TEST_SUPPORTS[counts.total()]
    assert support.name == name
    assert support.decode in {decode, None}
    if support.types:
        assert dict(support.types) == counts
