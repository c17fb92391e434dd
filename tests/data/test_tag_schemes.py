from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instruct_mner.data.bio import decode_spans
from instruct_mner.data.tag_schemes import are_chunks, holds_several, is_tag, to_bio, why_no_tag, why_no_type

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


def test_a_type_alone_is_told_how_it_is_written() -> None:
    assert why_no_tag("person-artist/author").endswith("where types stand alone, write I- before each")
    assert all(why_no_tag(tag).endswith("I-<type>") for tag in ("B_PER", "1", "?", ""))


@pytest.mark.parametrize("tag", ["B-a-b", "B-person of note", "I-B-cell", "S-PER", "O", "B-GPE/LOC", "M-x_1", "B-工作"])
def test_one_tag(tag: str) -> None:
    assert is_tag(tag)


@pytest.mark.parametrize(
    "score",
    [
        ":0.93", "=.9", "/0.5", "(0.93)", "@0.93", "-0.93", "_0.93", "#0.93", "[0.93]", " 0.93", " (93%)", "=93%",
        ":9.3e-05", "-9.3e-05", ":-0.35", " -1.35", "-1.0", "_1.00",
    ],
)  # fmt: skip
def test_a_confidence_behind_a_type_is_no_part_of_it(score: str) -> None:
    for tag in (f"B-PER{score}", f"I-B-cell{score}"):
        assert not is_tag(tag)
        assert why_no_tag(tag, "Anna").endswith("a number stands behind its type; take it out")
    assert why_no_type(f"PER{score}") is not None


@pytest.mark.parametrize(
    "name",
    ["GPE-2", "B2B", "WW2", "WW 2", "Covid-19", "covid_19", "GPT-3.5", "USB 3.0", "ENE:1.5.1.2", "24/7", "Grade:3",
     "G#1", "0.5"],
)  # fmt: skip
def test_a_number_may_be_part_of_a_type(name: str) -> None:
    assert is_tag(f"B-{name}")
    assert why_no_type(name) is None


def test_chunks() -> None:
    assert are_chunks(["B-NP", "I-NP", "O", "B-VP"])
    assert not are_chunks(["B-NP", "B-PER"])
    assert not are_chunks(["O"])
