"""Bodies that ended, blocked or deceived the server: each is refused, nothing reaches vLLM, and others are answered."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Gateway, running_gateway
from gateway_bodies import chat_body, encoded, image_part, many_scans, png, reference_chain, rule_chain, text_part

from instruct_mner.serving.limits import Limits

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "server" / "bodies.py"
CHAT, ENTITIES, COMPLETIONS = "/v1/chat/completions", "/v1/entities", "/v1/completions"


def shared_bodies() -> dict[str, tuple[str, dict[str, Any], str]]:
    if not CASES.is_file():
        return {}
    spec = importlib.util.spec_from_file_location("shared_bodies", CASES)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return dict(module.bodies())


# httpx writes no lone surrogates; the escapes of JSON do.
JSON = {"content-type": "application/json"}
SHARED = shared_bodies()
HI = chat_body(text_part("hi"))
OWN = {
    "rule-chain": (CHAT, {**HI, "structured_outputs": {"grammar": rule_chain(4_400)}}),
    "rule-chain-of-a-completion": (
        COMPLETIONS,
        {"model": "m", "prompt": "hi", "structured_outputs": {"grammar": rule_chain(4_400)}},
    ),
    "schema-in-a-grammar": (
        CHAT,
        {**HI, "structured_outputs": {"grammar": f"start: %json {json.dumps(reference_chain(3000))}"}},
    ),
    "huge-regex": (CHAT, {**HI, "structured_outputs": {"regex": "a" * 10_000}}),
    "foreign-schema": (CHAT, {**HI, "structured_outputs": {"json": {"$ref": "file:///etc/passwd"}}}),
    "two-constraints": (
        CHAT,
        {**HI, "structured_outputs": {"regex": "a"}, "response_format": {"type": "json_object"}},
    ),
    "scans": (CHAT, chat_body(image_part(f"data:image/jpeg;base64,{encoded(many_scans())}"))),
    "large-picture": (CHAT, chat_body(image_part(f"data:image/png;base64,{encoded(png(9000, 9000))}"))),
    "large-picture-of-a-post": (ENTITIES, {"text": "Ann", "labels": ["PER"], "images": [encoded(png(9000, 9000))]}),
    "tools": (CHAT, {**HI, "tools": [{"type": "function", "function": {"name": "f"}}]}),
    "token-ids": (COMPLETIONS, {"model": "m", "prompt": [[10**9]]}),
    "stop-tokens": (CHAT, {**HI, "stop_token_ids": [10**9], "min_tokens": 5}),
    "bias": (CHAT, {**HI, "logit_bias": {"999999999": 1}}),
}


@pytest.fixture(scope="module")
def open_gateway() -> Iterator[Gateway]:
    with running_gateway(limits=Limits()) as running:
        yield running


def is_refused(gateway: Gateway, route: str, body: dict[str, Any]) -> str:
    before = len(gateway.vllm.bodies)
    response = gateway.client.post(route, content=json.dumps(body), headers=JSON)
    assert 400 <= response.status_code < 500, response.text[:500]
    assert len(gateway.vllm.bodies) == before
    assert gateway.client.get("/health").status_code == 200
    return str(response.json()["error"]["message"])


@pytest.mark.skipif(not SHARED, reason="the hostile bodies are not beside this checkout (../shared/cases/server)")
@pytest.mark.parametrize("name", SHARED)
def test_shared_bodies(open_gateway: Gateway, name: str) -> None:
    route, body, _ = SHARED[name]
    # No model of its own, and labels, so that nothing else is the reason.
    body = {**body, "model": "m", **({"labels": ["PER"]} if route == ENTITIES else {})}
    message = is_refused(open_gateway, route, body)
    if name == "scan-bomb":
        assert "scans" in message


@pytest.mark.parametrize("name", OWN)
def test_own_bodies(open_gateway: Gateway, name: str) -> None:
    route, body = OWN[name]
    is_refused(open_gateway, route, body)


def test_pictures_with_one_uuid_are_what_they_are(open_gateway: Gateway) -> None:
    message = is_refused(
        open_gateway, CHAT, chat_body({**image_part(f"data:image/png;base64,{encoded(png(9, 9))}"), "uuid": "u"})
    )
    assert message == "messages.0.content.0.uuid: this server does not take such a field; see /docs"
