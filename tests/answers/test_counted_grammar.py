"""Grammars that carry what is needed to count: the same grammar to others, and nothing by strangers is trusted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_answers import TEXTS, admits, spec

from instruct_mner.answers import codec
from instruct_mner.answers.counted_grammar import MOST_CHARACTERS, counting_of, with_counting
from instruct_mner.answers.occurrences import RestOfAnswer
from instruct_mner.schema.labels import LabelSet

LABELS = LabelSet.of({"PER": "a // person", "événement": None})


def carrying(rest: RestOfAnswer) -> str:
    return with_counting(codec.grammar(rest.spec, rest.text, rest.num_images), rest)


@given(TEXTS, st.sampled_from(["words", "characters"]), st.booleans(), st.integers(0, 3))
def test_what_is_carried_is_read_again(text: str, segmentation: str, grounded: bool, num_images: int) -> None:
    rules = spec(segmentation=segmentation, grounded=grounded).with_labels(LABELS)
    rest = RestOfAnswer(rules, text, num_images)
    carried = counting_of(carrying(rest))
    assert carried is not None
    assert (carried.text, carried.num_images) == (text, num_images)
    assert carried.spec == rest.spec.with_labels(LabelSet.of(LABELS.names))


def test_an_engine_that_does_not_count_reads_the_same_grammar() -> None:
    rest = RestOfAnswer(spec(), 'Ann\u2028met // "Bo"', 0)
    for answer, legal in (("PER: Ann", True), ("PER: Ann\nPER: Ann", True), ("PER: Cy", False)):
        assert admits(carrying(rest), answer) is legal
        assert admits(codec.grammar(rest.spec, rest.text, 0), answer) is legal


def test_long_texts_and_requests_that_do_not_count_carry_nothing() -> None:
    for rest in (None, RestOfAnswer(spec(), "a" * (MOST_CHARACTERS + 1), 0)):
        assert with_counting('%llguidance {}\nstart: "a"\n', rest) == '%llguidance {}\nstart: "a"\n'


@pytest.mark.parametrize(
    "change",
    [
        ('"text": "Ann"', '"text": 3'),
        ('"text": "Ann"', f'"text": "{"a" * (MOST_CHARACTERS + 1)}"'),
        ('"num_images": 0', '"num_images": 1e30'),
        ('"num_images": 0', '"num_images": 10000000'),
        ('"format": "lines"', '"format": "inline"'),
        ('"box_range": 1000', f'"box_range": {"9" * 400}'),
        ('"box_range": 1000', f'"box_range": {"9" * 5_000}'),
        ('{"text"', '{"further": 1, "text"'),
        ('{"text"', "{" * 3_000),
    ],
    ids=lambda change: change[1][:24],
)
def test_comments_by_strangers_are_none(change: tuple[str, str]) -> None:
    grammar = carrying(RestOfAnswer(spec(), "Ann", 0))
    assert counting_of(grammar) is not None
    changed = grammar.replace(*change)
    assert changed != grammar
    assert counting_of(changed) is None
