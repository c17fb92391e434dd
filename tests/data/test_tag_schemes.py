from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instruct_mner.data.bio import decode_spans
from instruct_mner.data.tag_schemes import are_chunks, holds_several, is_tag, to_bio, why_no_tag

SPANS = st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["PER", "LOC", ""])), max_size=8)


def write(spans: list[tuple[int, str]], scheme: str) -> list[str]:
    """The tags of consecutive runs of tokens, those without a label outside."""
    tags: list[str] = []
    for length, label in spans:
        if not label:
            tags += ["O"] * length
            continue
        inside, end, single = tuple({"bio": "IIB", "bioes": "IES", "bilou": "ILU", "bmes": "MES"}[scheme])
        tags += (
            [f"{single}-{label}"]
            if length == 1
            else [f"B-{label}", *[f"{inside}-{label}"] * (length - 2), f"{end}-{label}"]
        )
    return tags


@given(SPANS, st.sampled_from(["bioes", "bilou", "bmes"]))
def test_every_scheme_says_the_spans_of_bio(spans: list[tuple[int, str]], scheme: str) -> None:
    wanted = decode_spans(write(spans, "bio"))
    assert decode_spans(write(spans, scheme)) == wanted
    assert decode_spans(write(spans, scheme), "strict") == wanted


def test_what_follows_an_end_is_another_entity() -> None:
    assert decode_spans(["B-X", "E-X", "I-X", "E-X"]) == [(0, 2, "X"), (2, 4, "X")]
    assert list(to_bio(["S-X", "S-X", "O"])) == ["B-X", "B-X", "O"]
    assert decode_spans(["I-X", "I-X", "B-X"]) == [(0, 2, "X"), (2, 3, "X")]


@pytest.mark.parametrize(
    "tag", ["B-PER,B-PER", "B-PER|B-ORG", "O|B-PER", "B-PER;LOC", "B-PER/B-ORG", "B-PER B-ORG", "O,O"]
)
def test_two_tags_in_one(tag: str) -> None:
    assert holds_several(tag)
    assert not is_tag(tag)
    assert "several tags in one" in why_no_tag(tag) or "none of O" in why_no_tag(tag)


@pytest.mark.parametrize("tag", ["B-a-b", "B-person of note", "I-B-cell", "S-PER", "O", "B-GPE/LOC", "M-x_1", "B-工作"])
def test_one_tag(tag: str) -> None:
    assert is_tag(tag)


def test_chunks() -> None:
    assert are_chunks(["B-NP", "I-NP", "O", "B-VP"])
    assert not are_chunks(["B-NP", "B-PER"])
    assert not are_chunks(["O"])
