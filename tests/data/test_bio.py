from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, Entities

from instruct_mner.data.bio import Joiner, decode_spans, join_tokens, token_bounds
from instruct_mner.data.tag_schemes import is_tag
from instruct_mner.schema.records import Example

LABELS = st.sampled_from(["PER", "LOC", "a-b", "person of note"])
TAGS = st.lists(st.one_of(st.just("O"), st.tuples(st.sampled_from("BI"), LABELS).map("-".join)))


@pytest.mark.parametrize(
    ("tags", "tolerant", "strict"),
    [
        ("B-PER I-PER O", [(0, 2, "PER")], [(0, 2, "PER")]),
        ("O I-LOC I-LOC", [(1, 3, "LOC")], []),
        ("B-PER I-LOC I-LOC", [(0, 1, "PER"), (1, 3, "LOC")], [(0, 1, "PER")]),
        ("B-PER B-PER I-PER", [(0, 1, "PER"), (1, 3, "PER")], [(0, 1, "PER"), (1, 3, "PER")]),
        ("B-PER O I-PER", [(0, 1, "PER"), (2, 3, "PER")], [(0, 1, "PER")]),
        ("I-LOC B-PER I-PER I-LOC", [(0, 1, "LOC"), (1, 3, "PER"), (3, 4, "LOC")], [(1, 3, "PER")]),
        ("B-PER I-LOC I-PER", [(0, 1, "PER"), (1, 2, "LOC"), (2, 3, "PER")], [(0, 1, "PER")]),
        ("", [], []),
    ],
)
def test_both_decodings(tags: str, tolerant: list[object], strict: list[object]) -> None:
    assert decode_spans(tags.split(), "tolerant") == tolerant
    assert decode_spans(tags.split(), "strict") == strict


@given(TAGS)
def test_decodings_agree_with_seqeval(tags: list[str]) -> None:
    assert decode_spans(tags, "tolerant") == [(a, b + 1, label) for label, a, b in get_entities(tags)]
    [strict] = Entities([tags], IOB2, delimiter="-").entities
    # seqeval splits a tag at its last '-', so only labels without one are compared.
    if not any("a-b" in tag for tag in tags):
        assert decode_spans(tags, "strict") == [(e.start, e.end, e.tag) for e in strict]


@given(TAGS, st.data(), st.sampled_from([" ", ""]))
def test_entities_are_the_joined_tokens_of_their_spans(tags: list[str], data: st.DataObject, joiner: str) -> None:
    word = st.text(st.characters(codec="utf-8"), min_size=1, max_size=3)
    tokens = data.draw(st.lists(word, min_size=len(tags), max_size=len(tags)))
    spans = decode_spans(tags)
    text, entities = join_tokens(tokens, spans, joiner)
    assert Example(id="1", text=text, entities=tuple(entities)).gold == tuple(entities)
    said = [(joiner.join(tokens[first:last]), label) for first, last, label in spans]
    assert [(entity.text, entity.label) for entity in entities] == said


@pytest.mark.parametrize("joiner", [" ", "", ()])
def test_of_no_tokens_there_is_no_text(joiner: Joiner) -> None:
    assert join_tokens([], [], joiner) == ("", [])
    assert token_bounds([], joiner) == []


@pytest.mark.parametrize("tag", ["", "X", "B", "B-", "b-PER", "Z-PER", "B-PER ", "B- PER", "o", "B_PER"])
def test_other_tags_are_refused(tag: str) -> None:
    assert not is_tag(tag)
