"""The door: deadlines, cancellation, memory, and nothing counted before the key."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from conftest import KEY, LIMITS, Gateway, connected, running_gateway
from gateway_bodies import chat_body, post_body, text_part

from instruct_mner.serving.http_models import error_of
from instruct_mner.serving.middleware import OPEN_PATHS

CHAT = "/v1/chat/completions"


def test_open_paths_need_no_key(gateway: Gateway) -> None:
    for path in OPEN_PATHS:
        assert httpx.get(gateway.url + path).status_code == 200


def test_halves_of_characters_in_messages_are_written_out() -> None:
    assert error_of(422, "\ud800").error.message == "\\ud800"


@pytest.mark.parametrize("path", ["/v1/entities", CHAT, "/v1/completions"])
def test_a_client_that_goes_ends_its_work_in_vllm(path: str) -> None:
    begun, gone = threading.Event(), threading.Event()

    def slow(body: object, number: int) -> tuple[int, object]:
        begun.set()
        gone.wait(20)
        return 200, {}

    bodies = {
        "/v1/entities": post_body(),
        CHAT: chat_body(text_part("hi")),
        "/v1/completions": {"model": "m", "prompt": "hi"},
    }
    with running_gateway(slow) as gateway:
        gateway.vllm.on_closed = gone.set
        request = gateway.client.build_request("POST", path, json=bodies[path])
        head = f"POST {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n"
        content = request.read()
        connection = connected(gateway, f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
        assert begun.wait(20)
        connection.close()
        assert gone.wait(20)


def test_a_body_has_a_deadline() -> None:
    head = f"POST {CHAT} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {KEY}\r\ncontent-length: 10\r\n\r\n{{"
    with (
        running_gateway(limits=replace(LIMITS, body_seconds=0.1)) as gateway,
        connected(gateway, head.encode()) as slow,
    ):
        assert b"408 Request Timeout" in slow.recv(1000)


def test_an_answer_has_a_deadline() -> None:
    ended = threading.Event()

    def never(body: object, number: int) -> tuple[int, object]:
        ended.wait(20)
        return 200, {}

    with running_gateway(never, limits=replace(LIMITS, request_seconds=0.2)) as gateway:
        response = gateway.client.post(CHAT, json=chat_body(text_part("hi")))
        ended.set()
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 1


def test_bodies_under_way_have_a_bound_together() -> None:
    with running_gateway(limits=replace(LIMITS, total_body_bytes=100)) as full:
        response = full.client.post(CHAT, json=chat_body(text_part("x" * 200)))
        assert response.status_code == 503
        assert full.client.get("/v1/models").status_code == 200


def test_a_wide_body_is_not_parsed() -> None:
    with running_gateway(limits=replace(LIMITS, body_values=100)) as gateway:
        response = gateway.client.post(CHAT, json={**chat_body(text_part("hi")), "stop": ["a"] * 200})
        assert response.status_code == 413
        assert "values" in response.json()["error"]["message"]


def test_who_has_no_key_fills_no_place() -> None:
    def half() -> Iterator[bytes]:
        yield b"{"

    with running_gateway(limits=replace(LIMITS, concurrency=1)) as gateway:
        head = "POST /v1/entities HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n{"
        strangers = [connected(gateway, head.encode()) for _ in range(5)]
        assert gateway.client.get("/v1/models").status_code == 200
        assert httpx.post(f"{gateway.url}/v1/entities", content=half()).status_code == 401
        for each in strangers:
            each.close()
