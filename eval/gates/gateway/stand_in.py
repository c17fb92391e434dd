"""Stand-in for vLLM, no kinder than it: what ends vLLM or makes it fail ends this too, and what must not come is noted.

    python -m eval.gates.gateway.stand_in --port 8100 --seconds 0.05

Bodies are read by vLLM's own models, where vLLM is installed. As a process it has a child, as vLLM has its engine core:
where one of the two dies, so does the other.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import binascii
import json
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from instruct_mner.engines.openai_format import SPECIAL_TOKENS
from instruct_mner.serving.openai_bodies import ChatBody, CompletionBody

MODEL = "m"
_PARTS = {"text": {"type", "text"}, "image_url": {"type", "image_url"}}
# Source: shared measurements on vLLM 0.32 with llguidance 1.7.6: chains of these lengths end it.
_MOST_RULES, _MOST_REFERENCES, _MOST_CHOICES = 5_000, 3_000, 100_000
_CONTEXT_BYTES = 60_000

Validate = Callable[[str, dict[str, Any]], None]


class FatalError(Exception):
    """A request that would have ended vLLM."""


@dataclass
class Notes:
    """Notes about what came.

    Attributes:
        num_requests: Requests that came.
        deaths: Requests that would have ended vLLM.
        smuggled: Fields and contents that must never come.
        largest_pixels: Pixels of the largest picture.
        under_way: Requests under way.
        cancelled: Requests whose client has gone.
    """

    num_requests: int = 0
    deaths: list[str] = field(default_factory=list)
    smuggled: list[str] = field(default_factory=list)
    largest_pixels: int = 0
    under_way: int = 0
    cancelled: int = 0


def vllm_models() -> Validate | None:
    """Return a function that reads bodies by vLLM's own models; ``None`` where vLLM is not installed."""
    if find_spec("vllm") is None:
        return None
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
    from vllm.entrypoints.openai.completion.protocol import CompletionRequest

    def validate(path: str, body: dict[str, Any]) -> None:
        (ChatCompletionRequest if "chat" in path else CompletionRequest).model_validate(body)

    return validate


def known_fields() -> dict[str, set[str]]:
    """Return the fields that may reach vLLM, by path."""
    chat, completion = set(ChatBody.model_fields), set(CompletionBody.model_fields)
    return {"/v1/chat/completions": chat - {"user"}, "/v1/completions": completion - {"user"}}


class StandIn:
    """ASGI application.

    Args:
        fields: Fields that may come, by path.
        key: Key that must come.
        validate: Function that reads a body as vLLM does; it raises ``ValueError``.
        seconds: Time of an answer.
        on_fatal: Function that is called where vLLM would have ended.
        fail_every: Number of requests of which one fails, as an engine may.
    """

    def __init__(
        self,
        fields: dict[str, set[str]],
        key: str,
        validate: Validate | None = None,
        seconds: float = 0.0,
        on_fatal: Callable[[], None] = lambda: None,
        fail_every: int = 0,
    ) -> None:
        self.notes = Notes()
        self._fields = fields
        self._key = key.encode()
        self._validate = validate
        self._seconds = seconds
        self._on_fatal = on_fatal
        self._fail_every = fail_every

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["path"] in {"/health", "/metrics"}:
            await _send(send, 200, f"vllm:generation_tokens_total {self.notes.num_requests}\n", "text/plain")
            return
        headers = dict(scope["headers"])
        if headers.get(b"authorization") != b"Bearer " + self._key:
            await _send(send, 401, {"error": {"message": "Unauthorized"}})
            return
        if scope["path"] == "/v1/models":
            await _send(send, 200, {"data": [{"id": MODEL, "max_model_len": 2048}]})
            return
        raw = b""
        while True:
            message = await receive()
            raw += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.notes.under_way += 1
        work = asyncio.ensure_future(self._answer(scope["path"], raw, send))
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                self.notes.cancelled += 1
        finally:
            self.notes.under_way -= 1
            for task in (work, gone):
                task.cancel()
        if work.done() and not work.cancelled():
            work.result()

    async def _answer(self, path: str, raw: bytes, send: Any) -> None:
        self.notes.num_requests += 1
        number = self.notes.num_requests
        try:
            body = json.loads(raw)
            self._check(path, body)
            if self._validate is not None:
                self._validate(path, body)
        except FatalError as error:
            self.notes.deaths.append(str(error))
            self._on_fatal()
            raise
        except ValueError as error:  # pydantic's are too
            await _send(send, 400, {"error": {"message": f"bad request: {str(error)[:300]}", "code": 400}})
            return
        if self._fail_every and number % self._fail_every == 0:
            await _send(send, (500, 503)[number // self._fail_every % 2], {"error": {"message": "failed"}})
            return
        await asyncio.sleep(self._seconds)
        text = answer_to(body)
        if body.get("stream"):
            delta = {"delta": {"content": text}, "text": text, "index": 0}
            lines = f"data: {json.dumps({'choices': [delta]})}\n\ndata: [DONE]\n\n"
            await _send(send, 200, lines, "text/event-stream")
            return
        await _send(send, 200, completion("chat" in path, text, int(body.get("n") or 1)))

    def _check(self, path: str, body: dict[str, Any]) -> None:
        smuggled = sorted(set(body) - self._fields.get(path, set()))
        if smuggled:
            self.notes.smuggled.append(f"{path}: fields {smuggled}")
        _check_fatal(body)
        for part in _parts(body):
            if not set(part) <= _PARTS.get(str(part.get("type")), set()):
                self.notes.smuggled.append(f"{path}: part {sorted(part)}")
            if part["type"] == "image_url":
                self._picture(part["image_url"]["url"])
        texts = [part.get("text", "") for part in _parts(body)]
        if any(token in "".join(texts) for token in SPECIAL_TOKENS):
            self.notes.smuggled.append(f"{path}: special token")
        if sum(len(text.encode()) for text in texts) > _CONTEXT_BYTES:
            raise ValueError("This model's maximum context length is 2048 tokens")

    def _picture(self, url: str) -> None:
        head, _, data = url.partition(",")
        if head != "data:image/png;base64":
            if not url.startswith("https://pictures.example/"):
                self.notes.smuggled.append(f"picture {url[:60]}")
            return
        try:
            content = base64.b64decode(data, validate=True)
            width, height = struct.unpack(">II", content[16:24])
        except (binascii.Error, struct.error) as error:
            raise ValueError(str(error)) from None
        self.notes.largest_pixels = max(self.notes.largest_pixels, width * height)


def _check_fatal(body: dict[str, Any]) -> None:
    """Refuse to live on where vLLM 0.32 on a CPU would not."""
    outputs = body.get("structured_outputs") or {}
    if str(outputs.get("grammar", "")).count(":") > _MOST_RULES:
        raise FatalError("chain of rules")
    schema = json.dumps([outputs.get("json"), body.get("response_format")])
    if schema.count('"$ref"') > _MOST_REFERENCES:
        raise FatalError("chain of references")
    if len(outputs.get("choice") or ()) > _MOST_CHOICES:
        raise FatalError("choices")
    # A greedy request makes no generator that could be wound back; without a temperature it is 1.
    if body.get("seed") is not None and body.get("temperature") != 0:
        raise FatalError("seed on a CPU")
    if body.get("prompt_logprobs") is not None or (body.get("echo") and body.get("logprobs") is not None):
        raise FatalError("log-probabilities of a prompt")


def _parts(body: dict[str, Any]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for message in body.get("messages", ()):
        content = message.get("content")
        parts += content if isinstance(content, list) else [{"type": "text", "text": str(content)}]
    return parts


def answer_to(body: dict[str, Any]) -> str:
    """Return the first word of a post as a person, and of anything else that there is nothing."""
    texts = [part.get("text", "") for part in _parts(body)]
    words = texts[-1].partition("Post: ")[2].split() if texts else []
    grammar = (body.get("structured_outputs") or {}).get("grammar", "")
    if not words or "PER" not in grammar or not words[0].isascii() or not words[0].isalnum():
        return "[]"
    return json.dumps([{"text": words[0], "label": "PER"}], separators=(",", ":"))


def completion(is_chat: bool, text: str, num: int) -> dict[str, Any]:
    """Return an answer in OpenAI's form."""
    piece = {"token": text, "logprob": -0.1, "bytes": list(text.encode()), "top_logprobs": []}
    choice = {"message": {"role": "assistant", "content": text}} if is_chat else {"text": text}
    choices = [
        {**choice, "index": index, "finish_reason": "stop", "logprobs": {"content": [piece]}} for index in range(num)
    ]
    return {"id": "1", "object": "chat.completion", "created": 0, "model": MODEL, "choices": choices}


async def _gone(receive: Callable[[], Awaitable[dict[str, Any]]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


async def _send(send: Any, status: int, content: Any, kind: str = "application/json") -> None:
    body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    """Serve, with a child, until one of the two ends."""
    import uvicorn

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=0.0)
    arguments = parser.parse_args()
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1e6)"])

    def watch() -> None:
        worker.wait()
        print("ERROR [core.py:1] EngineCore died", flush=True)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    print(f"worker {worker.pid}", flush=True)
    app = StandIn(
        known_fields(),
        os.environ["VLLM_API_KEY"],
        seconds=arguments.seconds,
        on_fatal=lambda: os.kill(os.getpid(), signal.SIGSEGV),
    )
    try:
        uvicorn.run(app, port=arguments.port, log_level="warning", access_log=False, timeout_keep_alive=90)
    finally:
        worker.kill()


if __name__ == "__main__":
    main()
