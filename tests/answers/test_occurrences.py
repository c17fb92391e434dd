"""No mention is written more often than it is in the text: grammars that are made anew behind each line."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_answers import BYTES, TEXTS, admits, spec, walk

from instruct_mner.answers import codec
from instruct_mner.answers.occurrences import RestOfLines
from instruct_mner.schema.offsets import place

# Few different words, so that they stand often.
WORDS = st.lists(st.sampled_from(["Ann", "Bell", "of", "Ann-", "#Bell"]), min_size=1, max_size=14).map(" ".join)


def rest_of(text: str, **changes: object) -> RestOfLines:
    return RestOfLines(spec(**changes), text, 0)


def used_up(rest: RestOfLines, surfaces: list[str]) -> list[str]:
    used = rest.used_up(surfaces)
    assert used is not None
    return used


def test_what_is_used_up_and_its_parts_may_not_be_written_again() -> None:
    rest = rest_of("Bob Dylan met Bob in L.A.")
    assert "Bob" not in used_up(rest, ["Bob"])
    assert "Bob Dylan met Bob" in used_up(rest, ["Bob"])  # it would take both
    assert "Bob" in used_up(rest, ["Bob", "Bob"])
    assert {"Bob Dylan", "Dylan", "Dylan met"} <= set(used_up(rest, ["Bob Dylan"]))
    assert not {"Bob", "met", "met Bob", "L"} & set(used_up(rest, ["Bob Dylan"]))
    grammar = rest("PER: Bob Dylan\nLOC: L.A.\n")
    assert grammar is not None
    for mention, legal in (("Bob", True), ("met Bob", True), ("Dylan", False), ("Bob Dylan", False), ("L", False)):
        assert admits(grammar, f"PER: {mention}") is legal, mention


def test_the_grammar_of_the_answer_is_kept_where_nothing_was_written_or_nothing_was_understood() -> None:
    assert rest_of("Bob met")("") is None
    assert rest_of("Bob met Ann")("PER: Bob\nnonsense\n") is None


@pytest.mark.parametrize(("text", "changes"), [("Bob", {}), ("Bob met Ann", {"max_entities": 1})])
def test_where_nothing_is_left_the_turn_ends(text: str, changes: dict[str, int]) -> None:
    grammar = rest_of(text, **changes)("PER: Bob\n")
    assert grammar is not None
    assert admits(grammar, "")
    assert not admits(grammar, "PER: Bob")


def test_a_long_mention_that_holds_a_written_one_may_not_be_written() -> None:
    grammar = rest_of("I love Fenprir Shexnond Slice in north west lately")("PER: Fenprir Shexnond Slice\n")
    assert grammar is not None
    assert not admits(grammar, "PER: Fenprir Shexnond Slice in north west")
    assert not admits(grammar, "PER: I love Fenprir Shexnond Slice in north west lately")
    assert admits(grammar, "PER: in north west lately")


def test_a_short_mention_that_stands_twice_leaves_both_places_open() -> None:
    for text in ("Paris Hilton loves Paris", "Paris loves Paris Hilton"):
        grammar = rest_of(text)("LOC: Paris\n")
        assert grammar is not None
        assert admits(grammar, "PER: Paris Hilton")
        assert admits(grammar, "PER: Paris\nPER: Hilton")
        assert not admits(grammar, f"PER: {text}")


def test_the_number_of_lines_is_counted_on() -> None:
    grammar = rest_of("Ann Bob Cy", max_entities=2)("PER: Ann\n")
    assert grammar is not None
    assert admits(grammar, "PER: Bob")
    assert not admits(grammar, "PER: Bob\nPER: Cy")


@pytest.mark.parametrize("segmentation", ["words", "characters"])
@given(TEXTS.map(lambda text: text[:8]) | WORDS, st.randoms(use_true_random=False))
def test_answers_written_line_by_line_hold_nothing_unplaceable(
    segmentation: str, text: str, chance: random.Random
) -> None:
    rules = spec(segmentation=segmentation, max_entities=4)
    rest, written = RestOfLines(rules, text, 0), ""
    grammar: str | None = codec.grammar(rules, text)
    for _ in range(4):
        line = walk(grammar, chance).split("\n")[0]
        written += line + "\n"
        grammar = rest(written)
        parsed = codec.parse(rules, text, written)
        assert parsed.rejected.total == 0, written
        if grammar is None:
            break


def test_a_mention_that_stands_everywhere_is_not_looked_at_span_by_span() -> None:
    text = " ".join(f"the word{number}" for number in range(1000))
    rest = rest_of(text)
    assert used_up(rest, ["the"]) == []
    assert used_up(rest_of("the a the b"), ["the"]) == ["the a the", "the a the b"]
    # With a mention of half of the text, each of its places must be looked at, which are too many.
    half = text[: len(text) // 2].rpartition(" ")[0]
    assert rest.used_up(["the", half]) is None
    assert rest(f"PER: the\nPER: {half}\n") is None


@given(WORDS, st.data())
def test_a_mention_with_places_enough_is_never_used_up(text: str, data: st.DataObject) -> None:
    text = " ".join([text] * 8)
    rest = rest_of(text)
    surfaces = data.draw(st.lists(st.sampled_from(["Ann", "Bell", "of Ann"]), min_size=1, max_size=3))
    placement = place(text, surfaces)
    written = not placement.unplaceable and not placement.hallucinated
    if written and rest._is_plentiful(surfaces[0], surfaces):
        assert all(rest._fits(surfaces, span) for span in set(rest._spans_on(surfaces[0])))


def test_it_is_bounded_on_long_posts() -> None:
    text = " ".join(f"word{number}" for number in range(3000))
    written = "".join(f"PER: word{number} word{number + 1}\n" for number in range(0, 30, 2))
    grammar = rest_of(text)(written)
    assert grammar is not None
    assert BYTES is not None
    assert admits(grammar, "PER: word77 word78")
