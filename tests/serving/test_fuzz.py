"""Every field of every route with hostile values: no 5xx but 503, and vLLM gets nothing but known fields."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from conftest import Gateway
from gateway_bodies import bomb, chat_body, encoded, image_part, many_scans, picture, post_body, rule_chain, text_part
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from instruct_mner.serving.constraints import StructuredOutputs
from instruct_mner.serving.entities_models import EntitiesRequest, PostsRequest
from instruct_mner.serving.openai_bodies import ChatBody, CompletionBody

PICTURE = "data:image/png;base64,"
# The same route; the name after # is never sent.
SEVERAL = "/v1/entities#several"
CHAT, ENTITIES, COMPLETIONS = "/v1/chat/completions", "/v1/entities", "/v1/completions"
BODIES: dict[str, dict[str, Any]] = {
    CHAT: chat_body(text_part("hi"), image_part(f"data:image/png;base64,{picture()}")),
    COMPLETIONS: {"model": "m", "prompt": ["hi"]},
    ENTITIES: {**post_body(images=[picture()]), "context": {"caption": "a"}},
    SEVERAL: {"posts": [{"text": "Ann is", "images": [picture()]}, {"text": "Bob"}], "labels": ["PER"]},
}
MODELS: dict[str, type[BaseModel]] = {
    CHAT: ChatBody,
    COMPLETIONS: CompletionBody,
    ENTITIES: EntitiesRequest,
    SEVERAL: PostsRequest,
}
# Source: the protocols of vLLM 0.32, whose fields must not come through.
FOREIGN = (
    "uuid", "image_embeds", "prompt_embeds", "mm_processor_kwargs", "media_io_kwargs", "chat_template", "documents",
    "chat_template_kwargs", "priority", "request_id", "session_id", "cache_salt", "kv_transfer_params", "vllm_xargs",
    "truncate_prompt_tokens", "prompt_logprobs", "allowed_token_ids", "bad_words", "stop_token_ids", "min_tokens",
    "logit_bias", "tools", "tool_choice", "use_beam_search", "structural_tag", "add_generation_prompt", "best_of",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, 2**70, -(2**70), 0.5, 1e308, float("nan"), float("inf"), "", "a",
    "\ud800", "\udc00\ud800", "\x00", "a" * 301, "<image>", "a<|im_end|>", "<end_of_utterance>", [], {}, [[]], [None],
    ["a"], ["\ud800"], [""], [0], ["a"] * 2_000, {"a": "b"}, {"\ud800": 1}, "json_object", {"type": "json_object"},
    {"type": "text"}, {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    {"type": "json_schema"}, {"grammar": 'start: "a"'}, {"grammar": "start: ("}, {"regex": "a+"}, {"regex": "("},
    {"choice": ["a", "b"]}, {"json": {"type": "string"}}, {"json": {"type": 3}}, {"url": "file:///etc/passwd"},
    {"url": "http://localhost/"}, {"url": "https://pictures.example/a"}, "file:///etc/passwd", "data:image/png;base64,",
    f"data:image/png;base64,{picture()}", f"data:image/png;base64,{encoded(bomb())}", picture()[:60],
    encoded(many_scans(8, 100)), text_part("b"), image_part("data:image/png;base64,eA=="), {"grammar": rule_chain(9)},
    {"include_usage": True}, {"type": "text", "text": "a", "image_url": {"url": "file:///a"}},
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All places within a body."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in children for place in places(child, (*path, key)))]


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, Any]:
    """A body with one to three fields changed, added or taken out, anywhere in it."""
    route = draw(st.sampled_from(sorted(BODIES)))
    body = deepcopy(BODIES[route])
    fields = sorted({*MODELS[route].model_fields, *StructuredOutputs.model_fields, *FOREIGN})
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(places(body)))
        parent = body
        for key in place[:-1]:
            parent = parent[key]
        target = parent[place[-1]] if place else body
        value = deepcopy(draw(st.sampled_from(VALUES)))
        if isinstance(target, dict) and draw(st.booleans()):
            target[draw(st.sampled_from(fields))] = value
        elif isinstance(target, list) and draw(st.booleans()):
            target.append(value)
        elif not place:
            continue
        elif isinstance(parent, dict) and draw(st.integers(0, 4)) == 0:
            del parent[place[-1]]
        else:
            parent[place[-1]] = value
    return route, body


def parts(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Parts of the messages of a body."""
    contents = [message["content"] for message in body.get("messages", ())]
    return [part for content in contents if isinstance(content, list) for part in content]


def check(gateway: Gateway, route: str, body: Any) -> None:
    before = len(gateway.vllm.bodies)
    response = gateway.client.post(route, content=json.dumps(body), headers={"content-type": "application/json"})
    status = response.status_code
    assert status == 200 or 400 <= status < 500 or status == 503, (status, response.text[:300])
    if status != 200:
        assert response.json()["error"]["message"]
    for sent in gateway.vllm.bodies[before:]:
        known = {*MODELS[route].model_fields} if not route.startswith(ENTITIES) else {*ChatBody.model_fields}
        assert set(sent) <= known - {"user"}, sent.keys()
        for part in parts(sent):
            assert set(part) <= {"type", "text", "image_url"}
            assert part.get("image_url", {}).get("url", PICTURE).startswith((PICTURE, "https://pictures.example/"))


@settings(max_examples=250, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(requests())
def test_fields(gateway: Gateway, request_: tuple[str, Any]) -> None:
    check(gateway, *request_)


@pytest.mark.prove
@pytest.mark.timeout(7200)
@settings(max_examples=100_000, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(requests())
def test_fields_at_length(gateway: Gateway, request_: tuple[str, Any]) -> None:
    check(gateway, *request_)
