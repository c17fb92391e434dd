"""The grammar that counts, as vLLM's scheduler uses it: bitmasks, drafts of speculative decoding, ends of turns."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from llguidance import LLTokenizer
from merged_tokens import MERGED, token

from instruct_mner.answers import codec
from instruct_mner.answers.counted_grammar import counting_of, with_counting
from instruct_mner.answers.guide import Guide
from instruct_mner.answers.occurrences import RestOfAnswer
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.schema.labels import LabelSet
from instruct_mner.vllm_runtime.counting import CountingGrammar

BYTES = LLTokenizer("byte")
END = BYTES.eos_token
SPEC, TEXT = AnswerSpec(labels=LabelSet.of(["PER"])), "Ann, Bo, Ann"


@pytest.fixture
def grammar() -> CountingGrammar:
    sent = with_counting(codec.grammar(SPEC, TEXT, 0), RestOfAnswer(SPEC, TEXT, 0))
    return CountingGrammar(Guide(BYTES, sent, counting_of(sent)), END)


def allowed(grammar: CountingGrammar) -> set[int]:
    bitmask = torch.zeros(2, (BYTES.vocab_size + 31) // 32, dtype=torch.int32)
    grammar.fill_bitmask(bitmask, 1)
    assert not bitmask[0].any()
    return {token for token in range(BYTES.vocab_size) if int(bitmask[1, token // 32]) >> token % 32 & 1}


def test_masks_count(grammar) -> None:
    assert grammar.accept_tokens("r", list(b"PER: Bo\nPER: "))
    assert allowed(grammar) == {ord("A"), ord(",")}
    assert not grammar.accept_tokens("r", list(b"Bo"))
    assert grammar.accept_tokens("r", list(b"Ann, ")) is False
    assert grammar.accept_tokens("r", list(b"\nPER: Ann"))
    assert allowed(grammar) == {END}
    assert not grammar.is_terminated()
    assert grammar.accept_tokens("r", [END])
    assert grammar.is_terminated()


def test_drafts_are_taken_up_to_the_end_of_a_line_and_taken_back(grammar) -> None:
    assert grammar.validate_tokens([*b"PER: Bo\nPER: Bo"]) == [*b"PER: Bo\n"]
    assert grammar.validate_tokens([*b"PER: Bx"]) == [*b"PER: B"]
    assert grammar.validate_tokens([ord("P"), -1, ord("E")]) == [ord("P")]
    assert grammar.validate_tokens([-1]) == []
    drafts = [*b"PER: Bo\n"]
    # As for the rows of a bitmask: each draft is accepted, then all are taken back, and some are accepted for good.
    assert all(grammar.accept_tokens("r", [token]) for token in drafts)
    assert ord("P") in allowed(grammar)
    grammar.rollback(len(drafts))
    assert grammar.accept_tokens("r", [*b"PER: Bo\nPER: Ann\n"])
    assert grammar.validate_tokens([*b"PER: Bo"]) == [*b"PER: "]


def test_tokens_and_drafts_past_the_end_of_an_entity_are_those_that_may_follow() -> None:
    spec = AnswerSpec(labels=LabelSet.of(["PER"]), format="json")
    sent = with_counting(codec.grammar(spec, "Bo", 0), RestOfAnswer(spec, "Bo", 0))
    grammar = CountingGrammar(Guide(MERGED, sent, counting_of(sent)), MERGED.eos_token)
    begun, on, end = [*b'[{"text":"Bo","label":"PER'], token(b'"},'), token(b'"}]')
    assert grammar.validate_tokens([*begun, on, *b"{"]) == begun
    assert grammar.validate_tokens([*begun, end]) == [*begun, end]
    assert grammar.accept_tokens("r", begun)
    bitmask = torch.zeros(1, (MERGED.vocab_size + 31) // 32, dtype=torch.int32)
    grammar.fill_bitmask(bitmask, 0)
    assert [bool(int(bitmask[0, each // 32]) >> each % 32 & 1) for each in (on, end)] == [False, True]
    assert not grammar.accept_tokens("r", [on])
    assert grammar.accept_tokens("r", [end, MERGED.eos_token])


def test_the_end_of_the_turn_is_taken_back(grammar) -> None:
    assert grammar.accept_tokens("r", [*b"PER: Bo, Ann\nPER: Ann\n"])
    assert allowed(grammar) == {END}
    assert grammar.accept_tokens("r", [END])
    assert grammar.is_terminated()
    assert grammar.validate_tokens([END]) == []
    grammar.rollback(2)
    assert not grammar.is_terminated()
    assert ord("\n") in allowed(grammar)
    grammar.reset()
    assert grammar.accept_tokens("r", [*b"none", END])


def test_vllm_has_the_methods_that_it_asks_for() -> None:
    package = find_spec("vllm")
    if package is None or package.origin is None:
        pytest.skip("vLLM is not installed (make setup brings it)")
    # Read, since importing it takes seconds.
    source = Path(package.origin).parent / "v1" / "structured_output" / "backend_types.py"
    [base] = [
        node
        for node in ast.parse(source.read_text()).body
        if isinstance(node, ast.ClassDef) and node.name == "StructuredOutputGrammar"
    ]
    methods = {node.name for node in base.body if isinstance(node, ast.FunctionDef)}
    assert {"accept_tokens", "fill_bitmask"} <= methods <= set(vars(CountingGrammar))
