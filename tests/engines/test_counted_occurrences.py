"""The transformers engine counts occurrences while it writes, and what comes behind a line has other probabilities."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from instruct_mner.answers import codec
from instruct_mner.answers.occurrences import RestOfAnswer
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.engines.constraint import constrained, guide_of
from instruct_mner.engines.engine import Completion, Request
from instruct_mner.engines.partial_answers import PartialAnswer
from instruct_mner.engines.transformers import TransformersEngine
from instruct_mner.models.loading import load_model
from instruct_mner.prompting.conversation import user_messages
from instruct_mner.prompting.templates import find_prompt
from instruct_mner.schema.labels import LabelSet

TEXT = "Ann met Bo Ann"
LINE_OR_OBJECT = {"lines": "\n", "json": "}"}


@pytest.fixture
def engine(tiny_models) -> TransformersEngine:
    return TransformersEngine(load_model(str(tiny_models("llama"))), batch_size=8)


def request(spec: AnswerSpec) -> Request:
    messages = user_messages(find_prompt("tag"), spec, TEXT, 0)
    return Request(messages, (), codec.grammar(spec, TEXT, 0), max_tokens=60, rest=RestOfAnswer(spec, TEXT, 0))


@pytest.mark.parametrize("answer_format", ["lines", "json"])
def test_a_random_model_writes_nothing_more_often_than_it_stands(engine, answer_format) -> None:
    spec = AnswerSpec(labels=LabelSet.of(["PER", "LOC"]), format=answer_format)
    asked = [request(spec)] * 40
    counted = engine.generate(asked, temperature=1.2, seed=1)
    free = engine.generate([replace(each, rest=None) for each in asked], temperature=1.2, seed=1)
    assert sum(too_many(spec, each) for each in counted) == 0
    assert sum(too_many(spec, each) for each in free) > 0
    assert max(each.text.count(LINE_OR_OBJECT[answer_format]) for each in counted) >= 2


def too_many(spec: AnswerSpec, completion: Completion) -> int:
    """Mentions without a place."""
    return codec.parse(spec, TEXT, completion.text, 0, finished=completion.finished).rejected.unplaceable


def test_behind_a_line_probabilities_are_those_under_its_narrower_grammar(engine) -> None:
    asked = request(AnswerSpec(labels=LabelSet.of(["PER", "LOC"])))
    answer = PartialAnswer(request=asked, guide=guide_of(engine.grammar_tokenizer, asked))
    tokens = engine.loaded.tokenizer("PER: Bo\nLOC: Ann\nPER: Ann", add_special_tokens=False)["input_ids"]
    tokens.append(engine.loaded.end_tokens[0])
    num_allowed, num_allowed_without = [], []
    free = guide_of(engine.grammar_tokenizer, replace(asked, rest=None))
    assert free is not None
    for token in tokens:
        scores = torch.zeros(2, engine.loaded.vocabulary_size)
        masked = constrained(scores, [answer.guide, free], engine.loaded.end_tokens).isfinite()
        assert masked[:, token].all()
        num_allowed.append(int(masked[0].sum()))
        num_allowed_without.append(int(masked[1].sum()))
        answer.write(token, 0.0, engine.loaded.end_tokens)
        free.write(token)
    first = answer.tokens.index(engine.loaded.tokenizer("\n", add_special_tokens=False)["input_ids"][0])
    assert num_allowed[: first + 1] == num_allowed_without[: first + 1]
    assert sum(num_allowed) < sum(num_allowed_without)
    assert answer.ended
    assert not answer.failed
