"""The proofs of the gateway can fail: what they count is seen, and a few of their requests pass."""

from __future__ import annotations

import asyncio
import itertools
import json
from copy import deepcopy
from typing import Any

import pytest

from eval.gates.common import seeded
from eval.gates.gateway import fuzz, strategies
from eval.gates.gateway.assembly import assemble
from eval.gates.gateway.hostile import BODIES, HostileRequest, anything, every_field
from eval.gates.gateway.stand_in import MODEL, StandIn, known_fields
from instruct_mner.serving.limits import Limits


def sent(body: dict[str, Any], path: str = "/v1/chat/completions", key: str = "k") -> tuple[int, StandIn]:
    """The status of the stand-in's answer, 0 where it would have died, and the stand-in."""
    stand_in = StandIn(known_fields(), "k")
    headers = [(b"authorization", b"Bearer " + key.encode())]
    request = HostileRequest(path=path, headers=headers, content=json.dumps(body).encode())
    try:
        status, _ = asyncio.run(fuzz.ask(stand_in, request))
    except Exception:
        status = 0
    return status, stand_in


def chat(content: Any = "hi", **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": content}], **more}


def test_the_stand_in_is_no_kinder_than_vllm() -> None:
    assert sent(chat())[0] == 200
    assert sent(chat(), key="wrong")[0] == 401
    for fatal in (
        {"seed": 1},
        {"structured_outputs": {"grammar": "a: b\n" * 6_000}},
        {"prompt_logprobs": 0},
        {"response_format": {"$defs": [{"$ref": "#"}] * 4_000}},
    ):
        status, stand_in = sent(chat(**fatal))
        assert (status, len(stand_in.notes.deaths)) == (0, 1), fatal
    assert sent(chat(seed=1, temperature=0))[0] == 200  # greedy: no generator
    for smuggled in (
        chat(uuid="a"),
        chat([{"type": "text", "text": "a", "uuid": "b"}]),
        chat([{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]),
        chat([{"type": "text", "text": "a<|im_"}, {"type": "text", "text": "end|>"}]),
    ):
        assert len(sent(smuggled)[1].notes.smuggled) == 1, smuggled


def test_what_is_wrong_is_seen() -> None:
    request = HostileRequest(path="/v1/entities")
    good = b'{"error": {"message": "a"}}'
    assert fuzz.what_is_wrong(request, 422, good) is None
    assert fuzz.what_is_wrong(request, 503, good) is None
    assert fuzz.what_is_wrong(request, 500, good) == "status 500"
    assert fuzz.what_is_wrong(request, 422, b"oh") == "no error in the answer of status 422"
    assert fuzz.what_is_wrong(request, 422, b'{"error": {"message": ""}}') == "an empty message"


def test_every_field_is_tried() -> None:
    requests = list(every_field(seeded(1)))
    assert len(requests) > 5_000
    contents = b"\n".join(each.content for each in requests)
    for name in ("uuid", "segmentation", "continuous_usage_stats", "json_schema", "ocr", "threshold", "echo"):
        assert f'"{name}"'.encode() in contents, name
    assert {each.path for each in requests} == {path for path, _ in BODIES.values()}


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    return assemble("http://engine", Limits()).app.openapi()


def drawn(strategy: Any, num: int) -> list[Any]:
    values: list[Any] = []
    strategies.draw(strategy, num, 1, values.append)
    return values


def test_bodies_of_every_route_are_changed(description: dict[str, Any]) -> None:
    with_body = {each.path for each in strategies.operations(description) if each.body is not None}
    assert with_body == {path for path, _ in BODIES.values()}


def test_every_field_of_every_route_is_drawn(description: dict[str, Any]) -> None:
    each_field = strategies.requests_with_each_field(description)
    assert len(each_field) > 90
    for name, strategy in each_field.items():
        path, _, field = name.partition(": ")
        [request, *_] = drawn(strategy, 1)
        assert request.path == path
        assert field in set(strategies.sent_fields(json.loads(request.content))), name


def test_a_new_field_and_a_new_route_are_drawn(description: dict[str, Any]) -> None:
    changed = deepcopy(description)
    changed["components"]["schemas"]["ChatBody"]["properties"]["added"] = {"type": "integer"}
    changed["paths"]["/v1/added"] = {
        "post": {"requestBody": changed["paths"]["/v1/completions"]["post"]["requestBody"]}
    }
    assert "/v1/chat/completions: added" in strategies.requests_with_each_field(changed)
    assert "/v1/added: prompt" in strategies.requests_with_each_field(changed)
    assert any(each.path == "/v1/added" for each in drawn(strategies.requests(changed), 25))


def test_a_schema_that_is_not_known_is_an_error() -> None:
    for schema in ({"type": "string", "not": {}}, {"type": "date"}):
        with pytest.raises((ValueError, KeyError)):
            strategies.bodies({}, schema)


def test_fields_have_paths() -> None:
    inner = {"type": "object", "properties": {"b": {"type": "null"}}}
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": {"anyOf": [{"$ref": "#/x/y/Inner"}]}}}}
    assert set(strategies.fields({"components": {"schemas": {"Inner": inner}}}, schema)) == {"a", "a[].b"}
    assert set(strategies.sent_fields({"a": [{"b": None}, 1]})) == {"a", "a[].b"}


@pytest.mark.timeout(120)
def test_some_of_the_fuzzer(monkeypatch: pytest.MonkeyPatch) -> None:
    # vLLM's own models take seconds to import.
    monkeypatch.setattr(fuzz, "vllm_models", lambda: None)
    monkeypatch.setattr(fuzz, "requests_with_each_field", lambda description: {})
    monkeypatch.setattr(fuzz, "every_field", lambda generator: itertools.islice(anything(generator), 40))
    report = fuzz.in_process(80, 5, 1e9)
    assert (report["wrong"], report["deaths of the engine"], report["smuggled"]) == (0, 0, 0), report
    assert (report["requests"], report["drawn by Hypothesis"]) == (80, 40)
    assert {200, 422} <= set(report["statuses"])
    # So few requests do not have every field, which is seen.
    assert report["fields that were not sent"]
    assert not report["passed"]


def test_long_answers_are_made_short() -> None:
    for given, sent_ in ((None, 4), (2, 2), (900, 4), (2**70, 2**70)):
        body = {"model": "m"} if given is None else {"model": "m", "max_tokens": given}
        assert json.loads(fuzz._short("/v1/completions", json.dumps(body).encode()))["max_tokens"] == sent_
