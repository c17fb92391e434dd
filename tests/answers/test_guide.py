"""The guide of an answer: narrower grammars behind lines, what is taken back, and what goes on after a failure."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from llguidance import LLTokenizer
from merged_tokens import MERGED, token
from test_answers import spec

from instruct_mner.answers import codec
from instruct_mner.answers.guide import Guide
from instruct_mner.answers.occurrences import RestOfAnswer

TEXT = "Ann, Bo, Ann"
BYTES = LLTokenizer("byte")


@pytest.fixture(params=[False, True], ids=["at once", "in threads"])
def guide(request: pytest.FixtureRequest) -> Guide:
    rules = spec()
    threads = ThreadPoolExecutor(1) if request.param else None
    return Guide(BYTES, codec.grammar(rules, TEXT, 0), RestOfAnswer(rules, TEXT, 0), threads)


def write(guide: Guide, text: str) -> bool:
    return all(guide.write(token) for token in text.encode())


def may_write(guide: Guide, text: str) -> bool:
    return guide.matcher.validate_tokens(list(text.encode())) == len(text)


def test_behind_a_line_what_is_used_up_may_not_be_written_and_nothing_moves_where_it_is_tried(guide) -> None:
    assert write(guide, "PER: Bo\n")
    assert may_write(guide, "PER: Ann")
    assert not may_write(guide, "PER: Bo")
    assert write(guide, "PER: ")
    assert not guide.write(ord("B"))
    assert write(guide, "Ann, ") is False
    assert write(guide, "\nPER: Ann")
    assert not guide.failed
    assert not may_write(guide, "\n")


def test_tokens_are_taken_back_over_the_ends_of_lines(guide) -> None:
    assert write(guide, "PER: Bo\nPER: Ann\nPER: An")
    guide.rollback(len("ER: An"))
    assert write(guide, "ER: Ann")
    guide.rollback(len("\nPER: Ann\nPER: Ann"))
    assert not may_write(guide, "PER")
    assert write(guide, "\nPER: Ann\n")
    guide.rollback(1)
    assert write(guide, "\n")
    assert may_write(guide, "PER: Ann")
    assert not may_write(guide, "PER: Bo")
    guide.reset()
    assert may_write(guide, "PER: Bo")


def test_the_end_of_the_turn_is_taken_back_too(guide) -> None:
    # Behind the end, tokens are taken without moving anything.
    assert write(guide, "PER: Bo, Ann\nPER: Ann\n")
    assert guide.matcher.is_accepting()
    guide.write(BYTES.eos_token)
    guide.write(BYTES.eos_token)
    guide.rollback(2 + len("Ann\n"))
    assert may_write(guide, "Ann")
    assert not may_write(guide, "Bo")
    assert write(guide, "Ann\n")


def test_where_a_narrower_grammar_fails_that_of_the_answer_goes_on(guide) -> None:
    assert write(guide, "PER: Bo\nPER: ")
    guide.matcher.consume_token(ord("?"))
    assert guide.matcher.is_error()
    allowed = guide.mask()
    assert allowed[ord("B") // 8] & 1 << ord("B") % 8
    assert not guide.failed
    assert write(guide, "Bo\nPER: Bo")
    guide.rollback(len("Bo\nPER: Bo"))
    assert may_write(guide, "Ann")


def test_where_the_grammar_of_the_answer_fails_too_the_guide_has_failed(guide) -> None:
    assert write(guide, "PER: B")
    guide.matcher.consume_token(ord("?"))
    assert guide.failed
    assert guide.write(ord("o"))


def test_a_grammar_that_is_none_has_failed_at_once() -> None:
    assert Guide(BYTES, "start: <<<").failed


def test_a_token_goes_past_the_end_of_an_entity_only_as_what_is_behind_it_allows() -> None:
    rules = spec(format="json")
    guide = Guide(MERGED, codec.grammar(rules, "Ann, Bo", 0), RestOfAnswer(rules, "Ann, Bo", 0))
    past = {written: token(written) for written in (b'"},', b'"},{"', b'"}]')}

    def allowed() -> set[bytes]:
        mask = guide.mask()
        return {written for written, each in past.items() if mask[each // 8] >> each % 8 & 1}

    assert write(guide, '[{"text":"Ann","label":"PER')
    assert allowed() == set(past)
    assert guide.write(past[b'"},{"'])
    assert write(guide, 'text":"Bo","label":"PER')
    # All is named: nothing but the end can follow.
    assert allowed() == {b'"}]'}
    assert not guide.write(past[b'"},'])
    assert not guide.admits(past[b'"},'])
    assert guide.write(past[b'"}]'])
    assert guide.matcher.is_stopped()
    guide.rollback(1)
    assert allowed() == {b'"}]'}
