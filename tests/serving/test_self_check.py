"""Checks of a vLLM by its answers, which are written here."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import httpx
import numpy as np
import pytest
from llguidance import LLTokenizer
from name_finder import NameFinder

from instruct_mner.answers.counted_grammar import counting_of
from instruct_mner.answers.guide import Guide
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.engines.engine import Completion
from instruct_mner.errors import ServingError
from instruct_mner.models.tuned import zero_shot
from instruct_mner.prompting.templates import find_prompt
from instruct_mner.schema.labels import LabelSet
from instruct_mner.serving.self_check import _check_adapter, _check_grammar, _counts, check_post
from instruct_mner.tagging.tagger import Tagger


def client(answer: Callable[[dict[str, Any]], httpx.Response]) -> httpx.Client:
    transport = httpx.MockTransport(lambda request: answer(json.loads(request.content)))
    return httpx.Client(base_url="http://vllm", transport=transport)


def says(text: str | None) -> Callable[[dict[str, Any]], httpx.Response]:
    def answer(body: dict[str, Any]) -> httpx.Response:
        assert 'start: "zq-' in body["structured_outputs"]["grammar"]
        return httpx.Response(200, json={"choices": [{"message": {"content": text}}]})

    return answer


def test_an_answer_by_the_grammar_passes() -> None:
    _check_grammar(client(says("zq-instruct-mner-0815")), "m")


@pytest.mark.parametrize("text", ["Yes.", "", " ", "start", "zq", None])
def test_any_other_answer_is_said_to_be_unconstrained(text: str | None) -> None:
    with pytest.raises(ServingError, match="vLLM does not keep to a grammar"):
        _check_grammar(client(says(text)), "m")


def test_an_error_of_the_server_names_its_status() -> None:
    with pytest.raises(ServingError, match="the self-check of 'm' failed: HTTP 503: not now"):
        _check_grammar(client(lambda body: httpx.Response(503, text="not now")), "m")


@pytest.mark.parametrize("is_counting", [True, False])
def test_whether_occurrences_are_counted_is_seen_by_the_answer(is_counting: bool) -> None:
    def answer(body: dict[str, Any]) -> httpx.Response:
        grammar = body["structured_outputs"]["grammar"]
        guide = Guide(LLTokenizer("byte"), grammar, counting_of(grammar) if is_counting else None)
        written = bytearray()
        while not guide.matcher.is_stopped():
            mask = guide.mask()
            token = int(np.flatnonzero(np.unpackbits(mask, bitorder="little"))[0])
            written.append(token)
            guide.write(token)
        return httpx.Response(200, json={"choices": [{"message": {"content": written.decode()}}]})

    assert _counts(client(answer), "m") is is_counting


def logprobs(**by_model: list[float]) -> Callable[[dict[str, Any]], httpx.Response]:
    def answer(body: dict[str, Any]) -> httpx.Response:
        tokens = [None, *({"7": {"logprob": value}} for value in by_model[body["model"]])]
        return httpx.Response(200, json={"prompt_logprobs": tokens})

    return answer


def test_an_adapter_must_change_some_log_probability() -> None:
    adapter: Any = SimpleNamespace(
        name="mine",
        prompt=find_prompt("tag"),
        manifest=SimpleNamespace(answer=AnswerSpec(labels=LabelSet.of(["PER"]))),
    )
    _check_adapter(client(logprobs(mine=[-1.0, -2.0], base=[-1.0, -2.5])), cast("Any", adapter), "base")
    with pytest.raises(ServingError, match=r"the adapter 'mine' changes nothing: .*largest difference 0\.01"):
        _check_adapter(client(logprobs(mine=[-1.0, -2.0], base=[-1.01, -2.0])), cast("Any", adapter), "base")


class WritesABox(NameFinder):
    """An engine that writes one entity with a box, whatever it is asked."""

    def generate(self, requests, *, temperature: float = 0.0, seed: int = 0) -> list[Completion]:
        [request] = requests
        assert len(request.images) == 1
        return [Completion("PER: Ada Lovelace [100, 200, 300, 400]")]


def test_an_adapter_may_write_a_box_for_the_post_of_the_self_check() -> None:
    manifest, _ = zero_shot("m")
    spec = AnswerSpec(format="lines", labels=LabelSet.of(["PER"]), grounded=True)
    manifest = manifest.model_copy(update={"answer": spec, "tuning": "lora", "max_images": 1})
    tagger = Tagger(WritesABox(), manifest, find_prompt("zero-shot"))
    check_post("mine", tagger)
