"""The gateway before a vLLM that answers by rule: what it takes, what it refuses, and what it says then."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from conftest import KEY, LIMITS, Gateway, running_gateway
from fake_server import Reply, first_word_is_a_person
from gateway_bodies import bomb, chat_body, encoded, image_part, picture, pixels, post_body, text_part

from instruct_mner.serving.metrics import route_name

ENTITIES, CHAT, COMPLETIONS = "/v1/entities", "/v1/chat/completions", "/v1/completions"


@pytest.mark.parametrize("source", [picture(), f"data:image/jpeg;base64,{picture(kind='JPEG')}"])
def test_a_post_is_answered(gateway: Gateway, source: str) -> None:
    response = gateway.client.post(ENTITIES, json=post_body("Ann <image> here", images=[source]))
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
        (post_body(model="nobody"), 404, "there is no model 'nobody'; there are m"),
        ({"text": "Ann"}, 422, "give labels"),
        ({"labels": ["PER"]}, 422, "text: is needed"),
        (post_body(txt="x"), 422, "txt"),
        (post_body(threshold=True), 422, "threshold: expected a number"),
        (post_body(threshold="0.5"), 422, "threshold: expected a number"),
        ({"posts": [{"text": "Ann"}], "labels": ["PER"], "threshold": True}, 422, "threshold: expected a number"),
        (post_body(text="x" * 301), 413, "300 characters"),
        (post_body(labels=["PER", "PER"]), 422, "twice"),
        (post_body(labels=["a: b"]), 422, "': '"),
        (post_body(labels=["<|im_end|>"]), 422, "special token"),
        (post_body(labels=list("abcdef")), 422, "labels: more than the 5"),
        (post_body(images=[picture(), picture()]), 422, "at most 1"),
        (post_body(images=["file:///etc/passwd"]), 422, "is an address"),
        (post_body(images=["http://localhost/x.png"]), 422, "is an address"),
        (post_body(images=["data:image/png,abc"]), 422, ";base64"),
        (post_body(images=["/etc/passwd"]), 422, "not a picture|not base64"),
        (post_body(images=["no base64!"]), 422, "not base64"),
        (post_body(images=[picture()[:80]]), 422, "broken|not a picture"),
        (post_body(images=[encoded(bomb())]), 422, "pixels"),
        (post_body(images=[picture((101, 100))]), 422, "pixels"),
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


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["PER: x"], "labels: label 'PER: x' holds ': ', which separates label and mention in an answer"),
        (["A\nB"], r"labels: label 'A\nB' holds a newline or a control character"),
        ([" PER"], "labels: label ' PER' is empty or has a space at its edge"),
        (["B\u200b"], r"labels: label 'B\u200b' holds a character that is not visible, which makes it another type; "
         "take it out"),
        (["PER", "PER"], "labels: label(s) given twice: PER"),
        ({"PER": "d" * 2001}, "labels.PER: String should have at most 2000 characters"),
        (["PER", "d" * 201], "labels.1: String should have at most 200 characters"),
        (["PER", 7], "labels.1: expected a text, a string; put it into quotes"),
        ([], "labels: must not be empty: at least 1 is needed"),
        ({}, "labels: must not be empty: at least 1 is needed"),
        ("PER", "labels: expected a list of names, or a mapping NAME: definition"),
    ],
)  # fmt: skip
def test_wrong_labels_have_one_reason_with_the_field(gateway: Gateway, labels: object, message: str) -> None:
    response = gateway.client.post(ENTITIES, json={"text": "Ann", "labels": labels})
    assert (response.status_code, response.json()["error"]["message"]) == (422, message)


def test_definitions_of_labels_are_taken(gateway: Gateway) -> None:
    body = {"text": "Ann is", "labels": {"PER": "people", "LOC": None}}
    assert gateway.client.post(ENTITIES, json=body).json()["entities"][0]["label"] == "PER"


@pytest.mark.parametrize("path", [ENTITIES, CHAT, "/predict"])
def test_a_compressed_body_is_refused_with_its_encoding(gateway: Gateway, path: str) -> None:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    response = gateway.client.post(path, content=gzip.compress(b'{"text": "Ann"}'), headers=headers)
    assert (response.status_code, response.headers["accept-encoding"]) == (415, "identity")
    message = "send the body as it is, without 'Content-Encoding: gzip'; no body is unpacked"
    assert response.json()["error"]["message"] == message


def test_a_body_may_begin_with_a_byte_order_mark_and_name_no_compression(gateway: Gateway) -> None:
    headers = {"content-type": "application/json", "content-encoding": "identity"}
    body = b'\xef\xbb\xbf{"text": "Ann is", "labels": ["PER"]}'
    assert gateway.client.post(ENTITIES, content=body, headers=headers).status_code == 200


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
@pytest.mark.parametrize("path", [ENTITIES, CHAT, "/predict"])
def test_a_body_of_another_type_is_refused_with_the_header_to_send(
    gateway: Gateway, path: str, kind: str | None
) -> None:
    headers = {} if kind is None else {"content-type": kind}
    response = gateway.client.post(path, content=b'{"text": "Ann", "labels": ["PER"]}', headers=headers)
    assert response.status_code == 415
    message = response.json()["error"]["message"]
    assert message.startswith("send the header 'Content-Type: application/json' with the body; ")
    assert message.endswith("there was none" if kind is None else f"it was {kind!r}")


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON", "application/vnd.api+json"])
def test_types_of_json_are_read(gateway: Gateway, kind: str) -> None:
    body = b'{"text": "Ann", "labels": ["PER"]}'
    assert gateway.client.post(ENTITIES, content=body, headers={"content-type": kind}).status_code == 200


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
        assert open_gateway.client.post(ENTITIES, json=post_body()).status_code == 200
        assert "security" not in open_gateway.client.get("/openapi.json").text


@pytest.mark.parametrize(
    "body",
    [
        chat_body(text_part("hi"), image_part(f"data:image/png;base64,{picture()}")),
        chat_body(image_part("https://pictures.example/a")),
    ],
)
def test_a_chat_is_written_anew_with_the_same_pixels(gateway: Gateway, body: dict[str, Any]) -> None:
    response = gateway.client.post(CHAT, json={**body, "temperature": 0.5, "user": "somebody"})
    assert response.status_code == 200, response.text
    written = gateway.vllm.bodies[-1]
    url, sent = written["messages"][0]["content"][-1]["image_url"], body["messages"][0]["content"][-1]["image_url"]
    if sent["url"].startswith("data:"):
        assert pixels(url["url"]) == pixels(sent["url"])
        url["url"] = sent["url"]
    assert written == {**body, "temperature": 0.5}
    assert response.json()["choices"][0]["message"]["content"] == "[]"


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        (CHAT, {**chat_body(text_part("hi")), "model": "nobody"}, 404, "no model"),
        (CHAT, {"model": "m", "messages": []}, 422, "messages"),
        (CHAT, {"model": "m", "messages": "hi"}, 422, "messages"),
        (CHAT, chat_body(text_part("a <image> b")), 422, "'<image>', a special token"),
        (CHAT, {"model": "m", "messages": [{"role": "user", "content": "a<|im_end|>"}]}, 422, "special token"),
        (CHAT, {"model": "m", "messages": [{"role": "user", "content": "a", "name": "<image>"}]}, 422, "special token"),
        (
            CHAT,
            chat_body(text_part("a <end_of_"), text_part("utterance> b")),
            422,
            "'<end_of_utterance>', a special token",
        ),
        (
            CHAT,
            chat_body(text_part("a <end_of_ "), image_part(picture()), text_part(" utterance>")),
            422,
            "special token",
        ),
        (
            CHAT,
            chat_body(text_part("hi"), tools=[{"function": {}}]),
            422,
            "tools: this server",
        ),
        (CHAT, chat_body(text_part("x" * 301)), 413, "300 characters"),
        (CHAT, chat_body(image_part("file:///etc/passwd")), 422, "is an address"),
        (CHAT, chat_body(image_part("http://localhost/x.png")), 422, "is an address"),
        (CHAT, chat_body(image_part("https://pictures.example@localhost/x.png")), 422, "is an address"),
        (CHAT, chat_body(image_part(f"data:image/png;base64,{encoded(bomb())}")), 422, "pixels"),
        (CHAT, chat_body(image_part(picture()[:80])), 422, "picture 1"),
        (CHAT, chat_body({"type": "image_url", "image_url": {}}), 422, "messages.0.content.0.image_url.url: is needed"),
        (CHAT, chat_body({"type": "image_url", "image_url": None, "uuid": "u"}), 422, "content.0.image_url: "),
        (
            CHAT,
            chat_body({**image_part(picture()), "uuid": "u"}),
            422,
            "messages.0.content.0.uuid: this",
        ),
        (
            CHAT,
            chat_body({**text_part("hi"), "image_url": {"url": "file:///a"}}),
            422,
            "content.0.image_url: this",
        ),
        (CHAT, chat_body({"type": "image_embeds", "image_embeds": "eA=="}), 422, "messages.0.content.0: Input tag"),
        (CHAT, chat_body({"image_url": "file:///etc/passwd"}), 422, "messages.0.content.0: Unable to extract tag"),
        (CHAT, chat_body({"type": "video_url", "video_url": {"url": "http://localhost"}}), 422, "'text', 'image_url'"),
        (CHAT, chat_body(*[image_part(picture())] * 2), 422, "at most 1"),
        (CHAT, chat_body(text_part("hi"), mm_processor_kwargs={"size": {}}), 422, "mm_processor_kwargs"),
        (CHAT, chat_body(text_part("hi"), chat_template="{{ x }}"), 422, "chat_template"),
        (CHAT, chat_body(text_part("hi"), n=3), 422, "n is 3"),
        (CHAT, chat_body(text_part("hi"), prompt_logprobs=0), 422, "prompt_logprobs: this server does not take"),
        (CHAT, chat_body(text_part("hi"), temperature=float("nan")), 400, "not JSON"),
        (CHAT, chat_body(text_part("hi"), temperature="0"), 422, "temperature: expected a number"),
        (CHAT, chat_body(text_part("hi"), stop=["\ud800"]), 422, "half of a character"),
        (CHAT, chat_body(text_part("hi"), stop=[""]), 422, "stop.0: "),
        (CHAT, chat_body(image_part(picture()), truncate_prompt_tokens=4), 422, "truncate_prompt_tokens: this server"),
        (CHAT, chat_body(text_part("hi"), request_id="\ud800"), 422, "half of a character"),
        (COMPLETIONS, {"model": "m", "prompt": "a", "echo": True, "logprobs": 0}, 422, "log-probabilities of the"),
        (COMPLETIONS, {"model": "m", "prompt": "a <image>"}, 422, "special token"),
        (COMPLETIONS, {"model": "m", "prompt": ""}, 422, "prompt: must not be empty"),
        (COMPLETIONS, {"model": "nobody", "prompt": "a"}, 404, "no model"),
    ],
)
def test_what_must_not_reach_vllm(
    gateway: Gateway, path: str, body: dict[str, object], status: int, message: str
) -> None:
    before = len(gateway.vllm.bodies)
    # httpx writes no lone surrogates and no NaN; the json module does.
    response = gateway.client.post(path, content=json.dumps(body), headers={"content-type": "application/json"})
    assert response.status_code == status, response.text
    assert message in response.json()["error"]["message"]
    assert len(gateway.vllm.bodies) == before


def test_a_seed_is_left_out_where_it_would_end_vllm(gateway: Gateway) -> None:
    body = chat_body(text_part("hi ☕"), temperature=1.0)
    assert gateway.client.post(CHAT, json={**body, "seed": 7}).status_code == 200
    assert gateway.vllm.bodies[-1] == body


def test_a_stream_comes_piece_by_piece() -> None:
    with running_gateway(lambda body, number: (200, "data: {}\n\ndata: [DONE]\n\n")) as streaming:
        streaming.vllm.text_type = "text/event-stream"
        with streaming.client.stream("POST", CHAT, json=chat_body(text_part("hi"), stream=True)) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            assert list(response.iter_lines()) == ["data: {}", "", "data: [DONE]", ""]


@pytest.mark.parametrize(("theirs", "ours"), [(400, 422), (404, 422), (500, 503), (503, 503)])
def test_what_vllm_says_to_a_post(theirs: int, ours: int) -> None:
    def refuse(body: object, number: int) -> tuple[int, object]:
        return theirs, {"error": {"message": "too long for me", "code": theirs}}

    with running_gateway(refuse) as failing:
        response = failing.client.post(ENTITIES, json=post_body())
        assert response.status_code == ours
        told = response.json()["error"]["message"]
        assert ("too long for me" in told) == (ours == 422)
        assert "127.0.0.1" not in told


def test_vllm_is_gone() -> None:
    with running_gateway(is_running=lambda: False) as orphan:
        assert orphan.client.get("/health").status_code == 503
        orphan.vllm.server_close()
        orphan.vllm.shutdown()
        for path, body in ((ENTITIES, post_body()), (CHAT, chat_body(text_part("hi")))):
            response = orphan.client.post(path, json=body)
            assert response.status_code == 503
            assert response.json()["error"]["message"] == "the model is not there"


def test_a_model_that_answers_what_cannot_be_used_is_there() -> None:
    replies: tuple[Reply, ...] = (first_word_is_a_person, lambda body, number: (200, {"choices": []}))
    for reply in replies:  # a type that was not asked for, and no answer
        with running_gateway(reply) as failing:
            response = failing.client.post(ENTITIES, json={"text": "Ann", "labels": ["X"]})
            assert response.status_code == 503
            assert response.json()["error"]["message"] == "the model failed to answer"


def test_health_models_and_metrics(gateway: Gateway) -> None:
    assert httpx.get(f"{gateway.url}/health").json() == {"status": "ok"}
    assert [each["id"] for each in gateway.client.get("/v1/models").json()["data"]] == ["m"]
    gateway.client.post(ENTITIES, json=post_body())
    gateway.client.get("/secret-path")
    metrics = gateway.client.get("/metrics").text
    assert "vllm:up 1.0" in metrics
    assert 'instruct_mner_requests_total{path="/v1/entities",status="200"}' in metrics
    assert 'instruct_mner_requests_total{path="other",status="404"}' in metrics
    assert "secret-path" not in metrics


def test_every_route_is_counted_under_its_own_name(gateway: Gateway) -> None:
    paths = gateway.client.get("/openapi.json").json()["paths"]
    assert {"/predict", "/setup", "/webhook", "/v1/entities"} <= set(paths)
    assert all(route_name(path) == path for path in paths)
    assert route_name("/v1/models/org/secret") == "/v1/models/{name}"


def test_more_than_can_be_taken_in_are_told_to_come_again() -> None:
    with running_gateway(limits=replace(LIMITS, concurrency=0)) as busy:
        response = busy.client.post(ENTITIES, json=post_body())
        assert response.status_code == 429
        assert response.json()["error"]["type"] == "RateLimitError"
        assert response.headers["retry-after"] == "1"
        assert busy.client.get("/health").status_code == 200
