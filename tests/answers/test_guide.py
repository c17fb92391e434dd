"""The guide of an answer: narrower grammars behind lines, what is taken back, and what goes on after a failure."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from llguidance import LLMatcher, LLTokenizer
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
    allowed = guide.mask(LLMatcher.compute_bitmask)
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
