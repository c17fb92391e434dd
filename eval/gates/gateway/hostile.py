"""Hostile requests to every route: a systematic pass over all fields, and then anything, drawn from a seed."""

from __future__ import annotations

import base64
import io
import itertools
import json
import random
import struct
import zlib
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from PIL import Image
from pydantic import BaseModel

from eval.gates.gateway.assembly import KEY
from eval.gates.gateway.stand_in import MODEL
from instruct_mner.serving.entities_models import EntitiesRequest, PostsRequest
from instruct_mner.serving.label_studio import PredictRequest, SetupRequest, WebhookRequest
from instruct_mner.serving.openai_bodies import ChatBody, CompletionBody

CHAT, COMPLETIONS, ENTITIES = "/v1/chat/completions", "/v1/completions", "/v1/entities"
SETUP, PREDICT, WEBHOOK = "/setup", "/predict", "/webhook"
LABEL_CONFIG = (
    '<View><Labels name="label" toName="text"><Label value="PER"/></Labels><Text name="text" value="$text"/>'
    '<RectangleLabels name="box" toName="image"/><Image name="image" value="$image"/></View>'
)
PATHS = (
    CHAT, COMPLETIONS, ENTITIES, SETUP, PREDICT, WEBHOOK,
    "/v1/models", "/health", "/livez", "/readyz", "/metrics", "/docs", "/openapi.json",
    "/",
    "/v1/embeddings", "/tokenize", "/v1/../metrics", "/%2e%2e", "/v1/entities/", "//v1/models", "/\udc80", "*", "",
)  # fmt: skip
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "X")
# Source: the protocols of vLLM 0.32, whose other fields must not come through.
FOREIGN = (
    "uuid", "image_embeds", "prompt_embeds", "mm_processor_kwargs", "media_io_kwargs", "chat_template", "documents",
    "chat_template_kwargs", "priority", "request_id", "session_id", "cache_salt", "kv_transfer_params", "vllm_xargs",
    "truncate_prompt_tokens", "prompt_logprobs", "allowed_token_ids", "bad_words", "stop_token_ids", "min_tokens",
    "logit_bias", "tools", "tool_choice", "use_beam_search", "structural_tag", "add_generation_prompt", "best_of",
    "video_url", "audio_url", "input_audio", "guided_json", "guided_grammar", "__proto__", "", "\x00", "\ud800",
)  # fmt: skip


_HEADERS = [(b"authorization", b"Bearer " + KEY.encode()), (b"content-type", b"application/json")]


@dataclass(frozen=True, kw_only=True)
class HostileRequest:
    """Request as it is sent.

    Attributes:
        method: HTTP method.
        path: Path.
        headers: Headers, with the key where it is right.
        content: Body.
    """

    method: str = "POST"
    path: str
    headers: list[tuple[bytes, bytes]] = field(default_factory=lambda: [*_HEADERS])
    content: bytes = b""


def _picture(size: tuple[int, int] = (40, 30), kind: str = "PNG") -> str:
    file = io.BytesIO()
    Image.new("RGB", size, "red").save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


def _bomb(width: int, height: int) -> str:
    """Return a PNG of a few bytes that says it is huge."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return base64.b64encode(content).decode()


def _deep(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


def _references(num: int) -> dict[str, Any]:
    links = {f"d{number}": {"$ref": f"#/$defs/d{number + 1}"} for number in range(num)}
    return {"$defs": links | {f"d{num}": {"type": "string"}}, "$ref": "#/$defs/d0"}


_SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
_URL = "data:image/png;base64,"
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 3, 17, 2**31, 2**63, 2**70, -(2**70), 0.5, 1.5, 1e308, 5e-324, float("nan"),
    float("inf"),
    "", "a", " ", "0", "\ud800", "\udc00\ud800", "\x00", "\u2028", "a" * 301, "a" * 20_001, "é" * 20_000,
    "\U0001f600" * 99,
    "<image>", "a<|im_end|>", "<end_of_utterance>", "<|vision_start|><|image_pad|>", "Ann\nmet Bob", MODEL, "nobody",
    [], {}, [[]], [None], ["a"], ["\ud800"], [""], [0], ["a"] * 17, ["a"] * 2_000, [["a", "b"]], {"a": "b"},
    {"\ud800": 1},
    {"": ""}, {"PER": None, "LOC": "a place"}, {"a: b": None}, ["PER", "PER"], ["<|im_end|>"], ["x" * 201], _deep(40),
    "json_object", {"type": "json_object"}, {"type": "text"}, _SCHEMA, {"type": "json_schema"},
    {"type": "json_schema", "json_schema": {"name": "n", "schema": _deep(50)}},
    {"type": "json_schema", "json_schema": {"name": "n", "schema": _references(70)}},
    {"type": "json_schema", "json_schema": {"name": "n", "schema": _references(40)}},
    {"grammar": 'start: "a"'}, {"grammar": "start: ("}, {"grammar": "start: start"}, {"regex": "a+"}, {"regex": "("},
    {"regex": "(a*)*b" * 20}, {"regex": "a{1000}{1000}"}, {"choice": ["a", "b"]}, {"choice": []},
    {"choice": ["a"] * 1_001},
    {"json": {"type": "string"}}, {"json": {"type": 3}}, {"json": {"$ref": "http://localhost/a"}},
    {"json_object": True},
    {"grammar": "\n".join(["start: r0", *(f"r{n}: r{n + 1}" for n in range(60)), 'r60: "z"'])},
    {"grammar": "\n".join(["start: r0", *(f"r{n}: r{n + 1}" for n in range(6_000)), 'r6000: "z"'])},
    {"grammar": 'start: "a"', "regex": "a"}, {"url": "file:///etc/passwd"}, {"url": "http://localhost/"},
    {"url": "https://pictures.example/a"}, {"url": "https://pictures.example@localhost/a"}, {"url": _URL},
    {"url": None},
    "file:///etc/passwd", "http://169.254.169.254/", _URL, _URL + "eA==", "data:text/html,<b>", "data:,",
    _URL + _picture(),
    "data:image/jpeg;base64," + _picture(kind="JPEG"), "data:image/gif;base64," + _picture(kind="GIF"),
    _URL + _bomb(60_000, 60_000), _URL + _bomb(300, 400), _picture(), _picture()[:60], _picture((3, 5), "WEBP"),
    _picture((200, 60)),
    {"type": "text", "text": "b"}, {"type": "image_url", "image_url": {"url": _URL + "eA=="}},
    {"type": "image_url", "image_url": {"url": _URL + _picture()}}, {"type": "video_url",
    "video_url": {"url": "file:///a"}},
    {"type": "text", "text": "a", "image_url": {"url": "file:///a"}}, {"type": "image_embeds", "image_embeds": "eA=="},
    {"role": "system", "content": "a"}, {"role": "tool", "content": "a"}, {"role": "assistant", "content": None},
    LABEL_CONFIG, "<View>" * 2_000, '<!DOCTYPE a [<!ENTITY b "c">]><View>&b;</View>', "<View><Labels/></View>",
    {"data": {"text": "Ann is", "image": "http://localhost/"}}, {"data": {}},
    {"include_usage": True}, {"caption": "a", "tags": ["b"], "ocr": "c"}, {"text": "Bob"}, {"text": "Bob",
    "images": ["x"]},
)  # fmt: skip
BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": (
        CHAT,
        {
            "model": MODEL,
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "hi"},
                        {"type": "image_url", "image_url": {"url": _URL + _picture()}},
                    ],
                }
            ],
        },
    ),
    "chat of text": (CHAT, {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}),
    "completion": (COMPLETIONS, {"model": MODEL, "prompt": ["hi"]}),
    "post": (
        ENTITIES,
        {"text": "Ann is here", "labels": ["PER", "LOC"], "images": [_picture()], "context": {"caption": "a"}},
    ),
    "setup": (SETUP, {"project": "1.2", "schema": LABEL_CONFIG, "hostname": "http://a", "access_token": "b"}),
    "tasks": (
        PREDICT,
        {
            "tasks": [
                {"id": 1, "data": {"text": "Ann is here", "image": _URL + _picture()}},
                {"data": {"text": "Bob"}},
            ],
            "label_config": LABEL_CONFIG,
            "params": {"context": None},
        },
    ),
    "event": (WEBHOOK, {"action": "ANNOTATION_CREATED", "project": {"id": 1}}),
    "posts": (ENTITIES, {"posts": [{"text": "Ann is", "images": [_picture()]}, {"text": "Bob"}], "labels": ["PER"]}),
}
MODELS: dict[str, type[BaseModel]] = {
    "chat": ChatBody,
    "chat of text": ChatBody,
    "completion": CompletionBody,
    "setup": SetupRequest,
    "tasks": PredictRequest,
    "event": WebhookRequest,
    "post": EntitiesRequest,
    "posts": PostsRequest,
}
_RAW = (
    b"", b"{", b"null", b"[]", b'"a"', b"1", b"NaN", b"[" * 60_000, b'{"a":' * 9_000, b"\xff\xfe", b"\x00" * 100,
    b"{" * 99,
    b'{"text":"a","text":"b","labels":["PER"]}', b'{"model":"m","messages":[],"messages":[]}', b'{"text": "\xff"}',
    b'{"text": "\\ud800"}', b"[" + b"1," * 60_000 + b"1]", b"-", b"1e999", b'{"a":1e999}', b"\xef\xbb\xbf{}",
    b" " * 100_000,
)  # fmt: skip
_ODD_HEADERS = (
    (b"authorization", b""), (b"authorization", b"Bearer wrong"), (b"authorization", b"Basic \xff"), (b"content-type",
    b"text/plain"),
    (b"content-type", b"multipart/form-data; boundary=x"), (b"content-type", b"application/json; charset=utf-7"),
    (b"content-encoding", b"gzip"), (b"content-length", b"-1"), (b"content-length", b"9" * 30), (b"x-request-id",
    b"\xff" * 300),
    (b"x-request-id", b"a\r\nset-cookie: b"), (b"accept", b"text/event-stream"), (b"origin", b"https://evil.example"),
    (b"x-forwarded-for", b"127.0.0.1"), (b"range", b"bytes=0-1"), (b"transfer-encoding", b"chunked"), (b"expect",
    b"100-continue"),
    (b"access-control-request-method", b"POST"), (b"accept-encoding", b"\xf0"), (b"cookie", b"a" * 9_000), (b"host",
    b"\x00"),
)  # fmt: skip


def _names(kind: str) -> list[str]:
    """Return the names of all fields within a body, and those that are vLLM's alone."""
    schema = MODELS[kind].model_json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    return sorted({name for part in parts for name in part.get("properties", {})} | set(FOREIGN))


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in children for place in _places(child, (*path, key)))]


def _at(body: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        body = body[key]
    return body


def _request(path: str, body: Any) -> HostileRequest:
    return HostileRequest(path=path, content=json.dumps(body).encode())


def every_field(generator: random.Random) -> Iterator[HostileRequest]:
    """Yield every field at every place of every body, once; and every field of every model with every value."""
    for kind, (path, body) in BODIES.items():
        for place, name in itertools.product(_places(body), _names(kind)):
            changed = deepcopy(body)
            if isinstance(_at(changed, place), dict):
                _at(changed, place)[name] = deepcopy(generator.choice(VALUES))
                yield _request(path, changed)
    for kind, (path, body) in BODIES.items():
        for name, value in itertools.product(MODELS[kind].model_fields, VALUES):
            yield _request(path, {**body, name: value})


def anything(generator: random.Random) -> Iterator[HostileRequest]:
    """Yield requests without end: bodies with one to four changes, broken bodies, odd headers, methods and paths."""
    while True:
        kind = generator.choice(sorted(BODIES))
        path, body = BODIES[kind]
        draw = generator.random()
        if draw < 0.05:
            method = generator.choice(METHODS)
            yield HostileRequest(method=method, path=generator.choice(PATHS), content=generator.choice(_RAW))
            continue
        if draw < 0.1:
            yield HostileRequest(path=path, content=_broken(generator, json.dumps(body).encode()))
            continue
        content = json.dumps(_changed(generator, kind, body)).encode()
        headers = [*_HEADERS]
        if draw < 0.2:
            name, value = generator.choice(_ODD_HEADERS)
            headers = [pair for pair in headers if pair[0] != name or generator.random() < 0.3] + [(name, value)]
        yield HostileRequest(path=path, headers=headers, content=content)


def _broken(generator: random.Random, content: bytes) -> bytes:
    if generator.random() < 0.4:
        return generator.choice(_RAW)
    data = bytearray(content)
    for _ in range(generator.randint(1, 5)):
        start = generator.randrange(len(data))
        data[start : start + generator.randint(0, 4)] = generator.randbytes(generator.randint(0, 4))
    return bytes(data)


def _changed(generator: random.Random, kind: str, body: dict[str, Any]) -> Any:
    changed: Any = deepcopy(body)
    for _ in range(generator.randint(1, 4)):
        if not isinstance(changed, dict):
            break
        place = generator.choice(_places(changed))
        target, value = _at(changed, place), deepcopy(generator.choice(VALUES))
        if isinstance(target, dict) and generator.random() < 0.5:
            target[generator.choice(_names(kind))] = value
        elif isinstance(target, list) and generator.random() < 0.5:
            target.append(value)
        elif not place:
            changed = value if generator.random() < 0.02 else changed
        elif isinstance(_at(changed, place[:-1]), dict) and generator.random() < 0.2:
            del _at(changed, place[:-1])[place[-1]]
        else:
            _at(changed, place[:-1])[place[-1]] = value
    return changed
