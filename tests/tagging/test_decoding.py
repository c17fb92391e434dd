from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.engines.engine import Completion, Token
from instruct_mner.models.manifest import Manifest, PromptStamp
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Example
from instruct_mner.tagging.decoding import DecodingInput, read_prediction

TEXT = "Ann in Paris"


def manifest_of(spec: AnswerSpec) -> Manifest:
    return Manifest(
        base_model="m",
        family="qwen3_vl",
        tuning="lora",
        prompt=PromptStamp(name="tag.v1", sha256="0" * 64),
        answer=spec,
    )


def read(completion: Completion, **settings: object):
    spec = AnswerSpec(labels=LabelSet.of(["PER", "LOC"]), **settings)
    decoding = DecodingInput(
        text=TEXT, completion=completion, spec=spec, manifest=manifest_of(spec), resized=lambda size: None
    )
    return read_prediction(Example(id="a", text=TEXT), (), decoding)


@given(st.lists(st.floats(-9, 0), min_size=19, max_size=19))
def test_a_score_is_the_product_of_the_tokens_of_label_and_mention(logprobs: list[float]) -> None:
    text = "PER: Ann\nLOC: Paris"
    tokens = tuple(Token(index, index + 1, logprob) for index, logprob in enumerate(logprobs))
    first, second = read(Completion(text, tokens)).entities
    assert first.score == pytest.approx(math.prod(math.exp(value) for value in logprobs[:8]))
    assert second.score == pytest.approx(math.prod(math.exp(value) for value in logprobs[9:]))


def test_a_box_is_no_part_of_the_confidence() -> None:
    text = "PER: Ann []"
    tokens = (Token(0, 8, math.log(0.5)), Token(8, 11, math.log(0.01)))
    [entity] = read(Completion(text, tokens), grounded=True).entities
    assert entity.score == pytest.approx(0.5)
    assert entity.boxes == ()


def test_without_probabilities_the_score_is_one() -> None:
    [entity] = read(Completion("PER: Ann")).entities
    assert entity.score == 1.0


def test_a_cut_answer_is_counted() -> None:
    prediction = read(Completion("PER: Ann\nLOC: Pa", finished=False))
    assert [entity.text for entity in prediction.entities] == ["Ann"]
    assert prediction.rejected.malformed == 1
