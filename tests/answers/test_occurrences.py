"""No mention is written more often than it is in the text: grammars that are made anew behind each entity."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from merged_tokens import MERGED
from test_answers import TEXTS, admits, spec

from instruct_mner.answers import codec
from instruct_mner.answers.guide import Guide
from instruct_mner.answers.occurrences import RestOfAnswer
from instruct_mner.schema.offsets import place

# Few different words, so that they stand often.
WORDS = st.lists(st.sampled_from(["Ann", "Bell", "of", "Ann-", "#Bell"]), min_size=1, max_size=14).map(" ".join)


def rest_of(text: str, **changes: object) -> RestOfAnswer:
    return RestOfAnswer(spec(**changes), text, 0)


def entities(rest: RestOfAnswer, *mentions: str) -> list[str]:
    """Entities as an answer writes them, all of the first type."""
    label = rest.spec.labels.names[0]
    if rest.spec.format == "lines":
        return [f"{label}: {mention}" for mention in mentions]
    return [json.dumps({"text": each, "label": label}, separators=(",", ":"), ensure_ascii=False) for each in mentions]


def behind(rest: RestOfAnswer, *mentions: str, then: str = "") -> str | None:
    """The grammar behind an answer that has these entities so far, and what it has more of the next."""
    written = entities(rest, *mentions)
    further = rest("\n".join([*written, then]) if rest.spec.format == "lines" else f"[{','.join(written)}{then}")
    if further is None:
        return None
    assert further.behind == then
    return further.grammar


def goes_on(rest: RestOfAnswer, grammar: str | None, *mentions: str) -> bool:
    """Whether an answer may go on, and end, with more entities."""
    assert grammar is not None
    more = entities(rest, *mentions)
    return admits(
        grammar, "\n".join(more) if rest.spec.format == "lines" else "".join(f",{each}" for each in more) + "]"
    )


@pytest.fixture(params=["lines", "json"])
def answer_format(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def used_up(rest: RestOfAnswer, surfaces: list[str]) -> list[str]:
    used = rest.used_up(surfaces)
    assert used is not None
    return used


def test_what_is_used_up_and_its_parts_may_not_be_written_again(answer_format: str) -> None:
    rest = rest_of("Bob Dylan met Bob in L.A.", format=answer_format)
    assert "Bob" not in used_up(rest, ["Bob"])
    assert "Bob Dylan met Bob" in used_up(rest, ["Bob"])  # it would take both
    assert "Bob" in used_up(rest, ["Bob", "Bob"])
    assert {"Bob Dylan", "Dylan", "Dylan met"} <= set(used_up(rest, ["Bob Dylan"]))
    assert not {"Bob", "met", "met Bob", "L"} & set(used_up(rest, ["Bob Dylan"]))
    grammar = behind(rest, "Bob Dylan", "L.A.")
    for mention, legal in (("Bob", True), ("met Bob", True), ("Dylan", False), ("Bob Dylan", False), ("L", False)):
        assert goes_on(rest, grammar, mention) is legal, mention


@pytest.mark.parametrize(
    ("answer_format", "written"),
    [
        ("lines", ""), ("lines", "PER: Bob\nnonsense\n"), ("lines", "PER: Bob\nPER: Bob\n"),
        ("json", "["), ("json", "[]"), ("json", '[{"text":"Bob","label":"PER"},{"text":3}'),
        ("json", '[{"text":"Bob","lab'),
        ("json", '[{"text":"Bob","label":"PER"}]'),
        ("json", '[{"text":"Bob","label":"PER"},{"text":"Bob","label":"PER"}'),
    ],
)  # fmt: skip
def test_the_grammar_of_the_answer_is_kept_where_nothing_was_written_or_understood(
    answer_format: str, written: str
) -> None:
    assert rest_of("Bob met Ann", format=answer_format)(written) is None


@pytest.mark.parametrize(("text", "changes"), [("Bob", {}), ("Bob met Ann", {"max_entities": 1})])
def test_where_nothing_is_left_the_turn_ends(answer_format: str, text: str, changes: dict[str, int]) -> None:
    rest = rest_of(text, format=answer_format, **changes)
    grammar = behind(rest, "Bob")
    assert goes_on(rest, grammar)
    assert not goes_on(rest, grammar, "Bob")
    assert not goes_on(rest, grammar, "Ann")


def test_a_long_mention_that_holds_a_written_one_may_not_be_written(answer_format: str) -> None:
    rest = rest_of("I love Fenprir Shexnond Slice in north west lately", format=answer_format)
    grammar = behind(rest, "Fenprir Shexnond Slice")
    assert not goes_on(rest, grammar, "Fenprir Shexnond Slice in north west")
    assert not goes_on(rest, grammar, "I love Fenprir Shexnond Slice in north west lately")
    assert goes_on(rest, grammar, "in north west lately")


def test_a_short_mention_that_stands_twice_leaves_both_places_open(answer_format: str) -> None:
    for text in ("Paris Hilton loves Paris", "Paris loves Paris Hilton"):
        rest = rest_of(text, format=answer_format)
        grammar = behind(rest, "Paris")
        assert goes_on(rest, grammar, "Paris Hilton")
        assert goes_on(rest, grammar, "Paris", "Hilton")
        assert not goes_on(rest, grammar, text)


def test_the_number_of_entities_is_counted_on(answer_format: str) -> None:
    rest = rest_of("Ann Bob Cy", max_entities=2, format=answer_format)
    grammar = behind(rest, "Ann")
    assert goes_on(rest, grammar, "Bob")
    assert not goes_on(rest, grammar, "Bob", "Cy")


def test_what_a_text_escapes_is_counted_and_braces_in_it_end_nothing() -> None:
    rest = rest_of('"Ann" met \\Bo} and\n"Ann" \ue000 Bo}, Ann', format="json")
    grammar = behind(rest, '"Ann"', "Bo}", "Bo}")
    assert goes_on(rest, grammar, '"Ann"')
    assert goes_on(rest, grammar, 'and\n"Ann"', "Ann")
    for mention in ("Bo", "Bo}", "met \\Bo}", "met \\Bo"):
        assert not goes_on(rest, grammar, mention), mention


@pytest.mark.parametrize(("answer_format", "then"), [("lines", "PER: Bo"), ("json", ',{"text":"A} B","lab')])
def test_a_token_may_go_on_past_the_end_of_an_entity(answer_format: str, then: str) -> None:
    rest = rest_of("Ann Bo A} B", format=answer_format)
    assert behind(rest, "Ann", then=then) == behind(rest, "Ann")


@pytest.mark.parametrize("segmentation", ["words", "characters"])
@pytest.mark.parametrize("answer_format", ["lines", "json"])
@given(TEXTS.map(lambda text: text[:8]) | WORDS, st.randoms(use_true_random=False))
def test_answers_written_entity_by_entity_hold_nothing_unplaceable(
    answer_format: str, segmentation: str, text: str, chance: random.Random
) -> None:
    rules = spec(segmentation=segmentation, max_entities=4, format=answer_format)
    guide = Guide(MERGED, codec.grammar(rules, text, 0), RestOfAnswer(rules, text, 0))
    written: list[int] = []
    while not guide.matcher.is_stopped():
        bits = guide.mask()
        allowed = np.flatnonzero(np.unpackbits(bits, bitorder="little"))
        if MERGED.eos_token in allowed and (len(allowed) == 1 or chance.random() < 0.3):
            break
        written.append(int(chance.choice(allowed[allowed != MERGED.eos_token])))
        assert guide.write(written[-1])
    assert not guide.failed
    answer = MERGED.decode_bytes(written).decode()
    assert codec.parse(rules, text, answer).rejected.total == 0, answer


def test_a_mention_that_stands_everywhere_is_not_looked_at_span_by_span() -> None:
    text = " ".join(f"the word{number}" for number in range(1000))
    rest = rest_of(text)
    assert used_up(rest, ["the"]) == []
    assert used_up(rest_of("the a the b"), ["the"]) == ["the a the", "the a the b"]
    # With a mention of half of the text, each of its places must be looked at, which are too many.
    half = text[: len(text) // 2].rpartition(" ")[0]
    assert rest.used_up(["the", half]) is None
    assert behind(rest, "the", half) is None


@given(WORDS, st.data())
def test_a_mention_with_places_enough_is_never_used_up(text: str, data: st.DataObject) -> None:
    text = " ".join([text] * 8)
    rest = rest_of(text)
    surfaces = data.draw(st.lists(st.sampled_from(["Ann", "Bell", "of Ann"]), min_size=1, max_size=3))
    placement = place(text, surfaces)
    written = not placement.unplaceable and not placement.hallucinated
    if written and rest._is_plentiful(surfaces[0], surfaces):
        assert all(rest._fits(surfaces, span) for span in set(rest._spans_on(surfaces[0])))


def test_a_text_with_all_characters_for_private_use_keeps_the_grammar_of_the_answer(answer_format: str) -> None:
    rest = rest_of("Ann Bo " + "".join(map(chr, range(0xE000, 0xF900))), format=answer_format)
    assert behind(rest, "Ann") is None


def test_it_is_bounded_on_long_posts() -> None:
    text = " ".join(f"word{number}" for number in range(3000))
    written = "".join(f"PER: word{number} word{number + 1}\n" for number in range(0, 30, 2))
    further = rest_of(text)(written)
    assert further is not None
    assert admits(further.grammar, "PER: word77 word78")


def test_a_long_mention_that_stands_at_very_many_places_is_not_counted() -> None:
    """Its spans are few, and the same at each place; a stranger's grammar may ask for them."""
    text = "abcdefghijklmnopqrstuvwxyz" * 300
    assert rest_of(text, segmentation="characters").used_up([text[:2_000]]) is None
