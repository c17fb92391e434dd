"""The gateway before a vLLM that answers by rule: what it takes, what it refuses, and what it says then."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from conftest import KEY, LIMITS, Gateway, running_gateway
from PIL import Image

ENTITIES, CHAT, COMPLETIONS = "/v1/entities", "/v1/chat/completions", "/v1/completions"


def picture(size: tuple[int, int] = (40, 30), kind: str = "PNG") -> str:
    file = io.BytesIO()
    Image.new("RGB", size, "red").save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


def bomb(width: int = 60_000, height: int = 60_000) -> str:
    """A PNG of a few bytes that says it is huge."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return base64.b64encode(png).decode()


def ask(text: str = "Ann is here", **more: object) -> dict[str, object]:
    return {"text": text, "labels": ["PER", "LOC"], **more}


def said(*parts: object, **more: object) -> dict[str, object]:
    return {"model": "m", "messages": [{"role": "user", "content": list(parts)}], **more}


def shown(url: str) -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": url}}


def words(text: str) -> dict[str, object]:
    return {"type": "text", "text": text}


@pytest.mark.parametrize("source", [picture(), f"data:image/jpeg;base64,{picture(kind='JPEG')}"])
def test_a_post_is_answered(gateway: Gateway, source: str) -> None:
    response = gateway.client.post(ENTITIES, json=ask("Ann <image> here", images=[source]))
    assert response.status_code == 200, response.text
    assert response.json() == {
        "model": "m",
        "entities": [{"start": 0, "end": 3, "text": "Ann", "label": "PER", "boxes": None, "score": 1.0}],
        "rejected": {"malformed": 0, "hallucinated": 0, "unplaceable": 0},
        "windows": 1,
    }
    sent = gateway.vllm.bodies[-1]
    assert sent["messages"][0]["content"][-1]["text"].endswith("Ann ‹image> here")
    assert "MENTION" in sent["structured_outputs"]["grammar"]
    assert gateway.vllm.headers[-1]["authorization"] == "Bearer private"


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (ask(model="nobody"), 404, "there is no model 'nobody'; there are m"),
        ({"text": "Ann"}, 422, "give labels"),
        ({"labels": ["PER"]}, 422, "text: Field required"),
        (ask(txt="x"), 422, "txt"),
        (ask(text="x" * 301), 413, "300 characters"),
        (ask(labels=["PER", "PER"]), 422, "twice"),
        (ask(labels=["a: b"]), 422, "': '"),
        (ask(labels=["<|im_end|>"]), 422, "special token"),
        (ask(labels=list("abcdef")), 422, "more labels than the 5"),
        (ask(images=[picture(), picture()]), 422, "at most 1"),
        (ask(images=["file:///etc/passwd"]), 422, "is an address"),
        (ask(images=["http://localhost/x.png"]), 422, "is an address"),
        (ask(images=["data:image/png,abc"]), 422, ";base64"),
        (ask(images=["/etc/passwd"]), 422, "not a picture|not base64"),
        (ask(images=["no base64!"]), 422, "not base64"),
        (ask(images=[picture()[:80]]), 422, "broken|not a picture"),
        (ask(images=[bomb()]), 422, "pixels"),
        (ask(images=[picture((101, 100))]), 422, "pixels"),
    ],
)
def test_a_post_is_refused(gateway: Gateway, body: dict[str, object], status: int, message: str) -> None:
    response = gateway.client.post(ENTITIES, json=body)
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["code"] == status
    assert any(each in error["message"] for each in message.split("|")), error["message"]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 400),
        (b'{"text": "\xff"}', 400),
        (b"[" * 50_000, 400),
        (b'{"text": "\\ud800", "labels": ["PER"]}', 422),
        (b'{"text": "x", "labels": ["\\ud800"]}', 422),
        (b'{"text": "x", "labels": ["PER"], "\\ud800": 1}', 422),
        (b'{"text": "' + b"x" * LIMITS.body_bytes + b'"}', 413),
    ],
)
@pytest.mark.parametrize("path", [ENTITIES, CHAT])
def test_a_body_is_refused(gateway: Gateway, path: str, content: bytes, status: int) -> None:
    response = gateway.client.post(path, content=content, headers={"content-type": "application/json"})
    assert response.status_code in {status, 422} if path == CHAT else response.status_code == status
    assert response.json()["error"]["message"]


def test_a_large_body_that_does_not_say_so_is_not_read_to_its_end(gateway: Gateway) -> None:
    read = []

    def endless() -> Iterator[bytes]:
        for _ in range(10_000):
            read.append(1)
            yield b" " * 10_000

    try:
        response = gateway.client.post(ENTITIES, content=endless())
        assert response.status_code == 413
    except httpx.TransportError:
        pass  # the door is shut while the client still writes
    assert len(read) < 5_000


@pytest.mark.parametrize("key", [None, "open", KEY + "x", "ключ".encode()])
@pytest.mark.parametrize("path", [ENTITIES, CHAT, "/v1/models", "/metrics", "/nowhere"])
def test_a_wrong_key_is_refused_before_anything_is_read(gateway: Gateway, path: str, key: str | bytes | None) -> None:
    encoded = key.encode() if isinstance(key, str) else key
    headers = {} if encoded is None else {b"authorization": b"Bearer " + encoded}
    before = len(gateway.vllm.bodies)
    response = httpx.post(gateway.url + path, content=b"{", headers=headers)
    assert response.status_code == 401
    assert "key" in response.json()["error"]["message"]
    assert len(gateway.vllm.bodies) == before


def test_without_a_key_anybody_may_ask() -> None:
    with running_gateway(key=None) as open_gateway:
        assert open_gateway.client.post(ENTITIES, json=ask()).status_code == 200
        assert "security" not in open_gateway.client.get("/openapi.json").text


@pytest.mark.parametrize(
    "body", [said(words("hi"), shown(f"data:image/png;base64,{picture()}")), said(shown("https://pictures.example/a"))]
)
def test_a_chat_is_passed_on_as_it_came(gateway: Gateway, body: dict[str, object]) -> None:
    response = gateway.client.post(CHAT, json={**body, "temperature": 0.5})
    assert response.status_code == 200, response.text
    assert gateway.vllm.bodies[-1] == {**body, "temperature": 0.5}
    assert response.json()["choices"][0]["message"]["content"] == "[]"


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        (CHAT, {**said(words("hi")), "model": "nobody"}, 404, "no model"),
        (CHAT, {"model": "m", "messages": []}, 422, "messages"),
        (CHAT, {"model": "m", "messages": "hi"}, 422, "messages"),
        (CHAT, said(words("a <image> b")), 422, "'<image>', a special token"),
        (CHAT, {"model": "m", "messages": [{"role": "user", "content": "a<|im_end|>"}]}, 422, "special token"),
        (CHAT, {"model": "m", "messages": [{"role": "user", "content": "a", "name": "<image>"}]}, 422, "special token"),
        (CHAT, said(words("hi"), tools=[{"function": {"description": "<image>"}}]), 422, "special token"),
        (CHAT, said(words("x" * 301)), 413, "300 characters"),
        (CHAT, said(shown("file:///etc/passwd")), 422, "is an address"),
        (CHAT, said(shown("http://localhost/x.png")), 422, "is an address"),
        (CHAT, said(shown("https://pictures.example@localhost/x.png")), 422, "is an address"),
        (CHAT, said(shown(f"data:image/png;base64,{bomb()}")), 422, "pixels"),
        (CHAT, said(shown(picture()[:80])), 422, "picture 1"),
        (CHAT, said({"type": "image_url", "image_url": {}}), 422, "no url"),
        (CHAT, said({"image_url": "file:///etc/passwd"}), 422, "text or image_url"),
        (CHAT, said({"type": "video_url", "video_url": {"url": "http://localhost"}}), 422, "text or image_url"),
        (CHAT, said(*[shown(picture())] * 2), 422, "at most 1"),
        (CHAT, said(words("hi"), mm_processor_kwargs={"size": {}}), 422, "mm_processor_kwargs"),
        (CHAT, said(words("hi"), chat_template="{{ x }}"), 422, "chat_template"),
        (CHAT, said(words("hi"), n=3), 422, "n is 3"),
        (CHAT, said(words("hi"), prompt_logprobs=0), 422, "log-probabilities of the prompt"),
        (COMPLETIONS, {"model": "m", "prompt": "a", "echo": True, "logprobs": 0}, 422, "log-probabilities of the"),
        (COMPLETIONS, {"model": "m", "prompt": "a <image>"}, 422, "special token"),
        (COMPLETIONS, {"model": "m", "prompt": ""}, 422, "at least 1 character"),
        (COMPLETIONS, {"model": "nobody", "prompt": "a"}, 404, "no model"),
    ],
)
def test_what_must_not_reach_vllm(
    gateway: Gateway, path: str, body: dict[str, object], status: int, message: str
) -> None:
    before = len(gateway.vllm.bodies)
    response = gateway.client.post(path, json=body)
    assert response.status_code == status, response.text
    assert message in response.json()["error"]["message"]
    assert len(gateway.vllm.bodies) == before


def test_a_seed_is_left_out_where_it_would_end_vllm(gateway: Gateway) -> None:
    body = said(words("hi ☕"), temperature=1.0)
    assert gateway.client.post(CHAT, json={**body, "seed": 7}).status_code == 200
    assert gateway.vllm.bodies[-1] == body


def test_a_stream_comes_piece_by_piece() -> None:
    with running_gateway(lambda body, number: (200, "data: {}\n\ndata: [DONE]\n\n")) as streaming:
        streaming.vllm.text_type = "text/event-stream"
        with streaming.client.stream("POST", CHAT, json=said(words("hi"), stream=True)) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            assert list(response.iter_lines()) == ["data: {}", "", "data: [DONE]", ""]


@pytest.mark.parametrize(("theirs", "ours"), [(400, 422), (404, 422), (500, 502), (503, 502)])
def test_what_vllm_says_to_a_post(theirs: int, ours: int) -> None:
    def refuse(body: object, number: int) -> tuple[int, object]:
        return theirs, {"error": {"message": "too long for me", "code": theirs}}

    with running_gateway(refuse) as failing:
        response = failing.client.post(ENTITIES, json=ask())
        assert response.status_code == ours
        told = response.json()["error"]["message"]
        assert ("too long for me" in told) == (ours == 422)
        assert "127.0.0.1" not in told


def test_vllm_is_gone() -> None:
    with running_gateway(is_running=lambda: False) as orphan:
        assert orphan.client.get("/health").status_code == 503
        orphan.vllm.server_close()
        orphan.vllm.shutdown()
        for path, body in ((ENTITIES, ask()), (CHAT, said(words("hi")))):
            response = orphan.client.post(path, json=body)
            assert response.status_code == 503
            assert response.json()["error"]["message"] == "the model is not there"


def test_health_models_and_metrics(gateway: Gateway) -> None:
    assert httpx.get(f"{gateway.url}/health").json() == {"status": "ok"}
    assert [each["id"] for each in gateway.client.get("/v1/models").json()["data"]] == ["m"]
    gateway.client.post(ENTITIES, json=ask())
    gateway.client.get("/secret-path")
    metrics = gateway.client.get("/metrics").text
    assert "vllm:up 1.0" in metrics
    assert 'instruct_mner_requests_total{path="/v1/entities",status="200"}' in metrics
    assert 'instruct_mner_requests_total{path="other",status="404"}' in metrics
    assert "secret-path" not in metrics


def test_more_than_can_be_taken_in_are_told_to_come_again() -> None:
    with running_gateway(limits=replace(LIMITS, concurrency=0)) as busy:
        response = busy.client.post(ENTITIES, json=ask())
        assert response.status_code == 429
        assert response.headers["retry-after"] == "1"
        assert busy.client.get("/health").status_code == 200
