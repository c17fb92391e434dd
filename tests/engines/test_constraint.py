"""Grammars that fail: the answer is never taken for a whole one, is written again, and is counted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from llguidance import LLMatcher, LLParserLimits, LLTokenizer

from instruct_mner.answers import codec
from instruct_mner.answers.occurrences import RestOfAnswer
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.engines.constraint import constrained, guide_of
from instruct_mner.engines.engine import Completion, Request
from instruct_mner.engines.fallback import generate_with_fallback
from instruct_mner.engines.grammar_check import answer_state, grammar_state
from instruct_mner.engines.partial_answers import PartialAnswer
from instruct_mner.engines.vllm import checked
from instruct_mner.models.manifest import Manifest, PromptStamp
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Example
from instruct_mner.tagging.decoding import DecodingInput, read_prediction

SPEC = AnswerSpec(labels=LabelSet.of(["PER", "LOC"]))
BYTES = LLTokenizer("byte")
END = BYTES.eos_token


class FailingMatcher:
    """A matcher that uses up its budget at its second mask, as llguidance does: it stops, without raising."""

    def __init__(self) -> None:
        self.masks = 0

    def compute_bitmask(self) -> bytes:
        self.masks += 1
        return np.full(-(-BYTES.vocab_size // 8), 255, dtype=np.uint8).tobytes()

    def is_stopped(self) -> bool:
        return self.masks > 1

    def is_error(self) -> bool:
        return self.masks > 1

    def validate_tokens(self, tokens: list[int]) -> int:
        return len(tokens)

    def consume_token(self, token: int) -> bool:
        return True


def begun_answers(monkeypatch: pytest.MonkeyPatch, *matchers: object) -> list[PartialAnswer]:
    made = iter([matcher for matcher in matchers if matcher is not None])
    monkeypatch.setattr("instruct_mner.answers.guide.LLMatcher", lambda *args, **kwargs: next(made))
    requests = [Request([], grammar=None if matcher is None else "any") for matcher in matchers]
    return [PartialAnswer(request=each, guide=guide_of(BYTES, each)) for each in requests]


def scores_of(answers: list[PartialAnswer]) -> torch.Tensor:
    scores = torch.zeros(len(answers), BYTES.vocab_size)
    return constrained(scores, [answer.guide for answer in answers], [END])


def write(answers: list[PartialAnswer], letters: str) -> None:
    for answer, letter in zip(answers, letters, strict=True):
        answer.write(ord(letter), 0.0, [END])


def test_the_turn_ends_where_the_grammar_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = LLMatcher(BYTES, codec.grammar(SPEC, "Ann"))
    answers = begun_answers(monkeypatch, FailingMatcher(), whole, None)
    assert scores_of(answers).isfinite()[0].sum() > 200
    assert [answer.failed for answer in answers] == [False, False, False]
    write(answers, "APA")
    masked = scores_of(answers)
    assert masked.isfinite()[0].nonzero().flatten().tolist() == [END]
    assert masked.isfinite()[1].nonzero().flatten().tolist() == [ord("E")]
    assert masked.isfinite()[2].all()
    assert [answer.failed for answer in answers] == [True, False, False]


def test_a_real_budget_that_is_used_up_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    grammar = "%llguidance {}\nstart: A\nA: /[a-z]*a[a-z]{20}/ & /[a-z]*b[a-z]{30}/ & /[a-z]*c[a-z]{25}/\n"
    limits = LLParserLimits(step_lexer_fuel=50)
    matcher = LLMatcher(BYTES, grammar, log_level=0, limits=limits)
    assert not matcher.is_error()
    answers = begun_answers(monkeypatch, matcher)
    for letter in "abcabc":
        masked = scores_of(answers)
        write(answers, letter)
    assert masked.isfinite()[0].nonzero().flatten().tolist() == [END]
    assert answers[0].failed


@pytest.mark.parametrize(
    ("answer", "state"),
    [("PER: Ann", "whole"), ("none", "whole"), ("PER:", "begun"), ("PER: ", "begun"), ("", "begun"),
     ("PER: Ann\n", "begun"), ("ORG: Ann", "broken"), ("PER: Bob", "broken"), ("PER: Ann\ufffd", "begun")],
)  # fmt: skip
def test_state_of_an_answer(answer: str, state: str) -> None:
    assert grammar_state(codec.grammar(SPEC, "Ann, Lagos"), answer) == state


@pytest.mark.parametrize(
    ("answer", "state"),
    [("PER: Bo, Ann\nPER: Ann\n", "whole"), ("PER: Bo\n", "begun"), ("PER: Bo\nPER: Bo\n", "begun"), ("\n", "broken")],
)
def test_state_of_a_counted_answer_that_has_named_all_there_is(answer: str, state: str) -> None:
    text = "Ann, Bo, Ann"
    request = Request([], grammar=codec.grammar(SPEC, text), rest=RestOfAnswer(SPEC, text, 0))
    assert answer_state(request, answer) == state
    assert answer_state(Request([], grammar=request.grammar), answer) == ("begun" if answer[0] == "P" else "broken")


def test_state_of_an_answer_whose_first_space_a_server_drops() -> None:
    grammar = codec.grammar(SPEC.model_copy(update={"prefix": " "}), "Ann")
    assert grammar_state(grammar, "PER: Ann") == "whole"


class FailingEngine:
    """An engine whose grammars fail."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def generate(self, requests, *, temperature: float = 0.0, seed: int = 0) -> list[Completion]:
        self.requests += requests
        return [
            Completion("PER: Ann") if request.grammar is None else Completion("PER:", finished=False, failed=True)
            for request in requests
        ]


def test_a_failed_answer_is_written_again_and_counted() -> None:
    engine = FailingEngine()
    requests = [Request([], grammar=codec.grammar(SPEC, "Ann"), schema={}), Request([])]
    completions = generate_with_fallback(engine, requests)  # type: ignore[arg-type]
    assert [request.grammar is None for request in engine.requests] == [False, True, True]
    assert [(each.text, each.finished, each.failed) for each in completions] == [
        ("PER: Ann", True, True),
        ("PER: Ann", True, False),
    ]
    counts = [prediction(completion).rejected.malformed for completion in completions]
    assert counts == [1, 0]
    assert [len(prediction(completion).entities) for completion in completions] == [1, 1]


def test_a_failed_answer_that_is_not_written_again_is_counted_once() -> None:
    failed = prediction(Completion.of([b"PER:"], [0.0], finished=True, failed=True))
    assert (failed.entities, failed.rejected.malformed) == ((), 1)


def prediction(completion: Completion):
    manifest = Manifest(
        base_model="base", family="idefics3", tuning="none", prompt=PromptStamp(name="p", sha256="0"), answer=SPEC
    )
    decoding = DecodingInput(text="Ann", completion=completion, spec=SPEC, manifest=manifest, resized=lambda size: None)
    return read_prediction(Example(id="1", text="Ann"), (), decoding)


@pytest.mark.parametrize(
    ("answer", "finished", "failed"),
    [("PER: Ann", True, False), ("PER:", False, True), ("", False, True)],
)
def test_an_answer_of_vllm_that_stops_short_has_failed(answer: str, finished: bool, failed: bool) -> None:
    """vLLM allows nothing but the end of the turn once a matcher has failed, and calls the answer finished."""
    request = Request([], grammar=codec.grammar(SPEC, "Ann"))
    completion = checked(request, Completion(answer))
    assert (completion.finished, completion.failed) == (finished, failed)
    cut = Completion("PER:", finished=False)
    assert checked(request, cut) == cut
    assert checked(Request([]), Completion("PER:")) == Completion("PER:")
