"""The transformers engine counts occurrences while it writes, also where an answer is put off and continued."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from instruct_mner.answers import codec
from instruct_mner.answers.occurrences import RestOfLines
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.engines.constraint import GrammarLogitsProcessor
from instruct_mner.engines.engine import Completion, Request
from instruct_mner.engines.partial_answers import PartialAnswer
from instruct_mner.engines.transformers import TransformersEngine
from instruct_mner.models.loading import load_model
from instruct_mner.prompting.conversation import user_messages
from instruct_mner.prompting.templates import find_prompt
from instruct_mner.schema.labels import LabelSet

TEXT = "Ann met Bo Ann"


@pytest.fixture
def engine(tiny_models) -> TransformersEngine:
    return TransformersEngine(load_model(str(tiny_models("llama"))), batch_size=8)


def request(spec: AnswerSpec) -> Request:
    messages = user_messages(find_prompt("tag"), spec, TEXT, 0)
    return Request(messages, (), codec.grammar(spec, TEXT, 0), max_tokens=60, rest=RestOfLines(spec, TEXT, 0))


def test_a_random_model_writes_nothing_more_often_than_it_stands(engine) -> None:
    spec = AnswerSpec(labels=LabelSet.of(["PER", "LOC"]))
    asked = [request(spec)] * 40
    counted = engine.generate(asked, temperature=1.2, seed=1)
    free = engine.generate([replace(each, rest=None) for each in asked], temperature=1.2, seed=1)
    assert sum(too_many(spec, each) for each in counted) == 0
    assert sum(too_many(spec, each) for each in free) > 0
    assert max(each.text.count("\n") for each in counted) >= 2


def too_many(spec: AnswerSpec, completion: Completion) -> int:
    """Mentions without a place."""
    return codec.parse(spec, TEXT, completion.text, 0, finished=completion.finished).rejected.unplaceable


def test_behind_a_line_probabilities_are_those_under_its_narrower_grammar(engine) -> None:
    asked = request(AnswerSpec(labels=LabelSet.of(["PER", "LOC"])))
    constraint = GrammarLogitsProcessor(engine._guide, [PartialAnswer(asked)], engine.loaded.end_tokens)
    size = engine.loaded.model.get_input_embeddings().weight.shape[0]
    tokens = engine.loaded.tokenizer("PER: Bo\nLOC: Ann\nPER: Ann", add_special_tokens=False)["input_ids"]
    sequence = torch.zeros(1, 1, dtype=torch.long)
    expected = []
    for token in [*tokens, engine.loaded.end_tokens[0]]:
        masked = constraint(sequence, torch.zeros(1, size))
        assert masked[0, token].isfinite()
        expected.append(-np.log(masked.isfinite().sum().item()))
        sequence = torch.cat([sequence, torch.tensor([[token]])], dim=1)
    assert constraint.finish(sequence)[0] == pytest.approx(expected)
    assert constraint.failed == [False]


def test_an_answer_that_is_continued_has_the_grammar_of_its_last_line(engine) -> None:
    spec = AnswerSpec(labels=LabelSet.of(["PER", "LOC"]))
    tokenizer, begun = engine.loaded.tokenizer, "PER: Bo\nLOC: Ann\nPER: "
    tokens = tokenizer(begun, add_special_tokens=False)["input_ids"]
    answer = PartialAnswer(request(spec), tokens=list(tokens))
    [guide] = GrammarLogitsProcessor(engine._guide, [answer], engine.loaded.end_tokens)._guides
    assert guide is not None
    for mention, legal in (("Ann", True), ("Bo", False)):
        ids = tokenizer(mention, add_special_tokens=False)["input_ids"]
        assert (guide.matcher.validate_tokens(ids) == len(ids)) is legal
