"""Fuzzer over every field of every route; the gateway runs in this process, or is the one at ``--url``.

Requests are drawn by Hypothesis from the description that the gateway gives of itself (``strategies``), after a
systematic pass over all fields at all places (``hostile``); the gateway must have got every field of the description.

    python -m eval.gates.gateway.fuzz --requests 100000
    python -m eval.gates.gateway.fuzz --requests 2000 --url http://127.0.0.1:8000 --model NAME

Wrong are: a status of 500 and more that is not 503, an error without a message, an exception that leaves the gateway, a
request that would have ended vLLM, a field or a picture that must not have reached it. With ``--url`` the key is in
``INSTRUCT_MNER_API_KEY``, and a request without an answer is wrong too.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil

from eval.gates.common import seeded
from eval.gates.gateway.assembly import KEY, PRIVATE_KEY, Assembly, assemble
from eval.gates.gateway.hostile import HostileRequest, every_field
from eval.gates.gateway.stand_in import MODEL, StandIn, known_fields, vllm_models
from eval.gates.gateway.strategies import (
    draw,
    fields,
    operations,
    requests,
    requests_with_each_field,
    sent_fields,
)
from instruct_mner.serving.limits import Limits

# A picture of 200 x 60 pixels is decoded, one of 300 x 400 is not.
_PIXELS = 100_000
_FAIL_EVERY = 997
_MOST_TOKENS = 4
# Requests drawn for each field of the description, beside those that have it by chance.
_PER_FIELD = 20
_URL = "http://engine"


async def ask(app: Any, request: HostileRequest) -> tuple[int, bytes]:
    """Send a request to an ASGI application, byte by byte as it is, and return status and body."""
    path, _, query = request.path.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": request.method, "scheme": "http",
        "path": path, "raw_path": path.encode(errors="replace"), "query_string": query.encode(), "root_path": "",
        "headers": [(b"host", b"gateway"), *request.headers], "client": ("127.0.0.1", 1), "server": ("gateway", 80),
    }  # fmt: skip
    sent: list[dict[str, Any]] = []
    waiting = [{"type": "http.request", "body": request.content, "more_body": False}]
    ended = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if waiting:
            return waiting.pop()
        await ended.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    try:
        await app(scope, receive, send)
    finally:
        ended.set()
    return sent[0]["status"], b"".join(each.get("body", b"") for each in sent[1:])


def what_is_wrong(request: HostileRequest, status: int, body: bytes) -> str | None:
    """Return what is wrong with an answer."""
    if status >= 500 and status != 503:
        return f"status {status}"
    # The answers to HEAD have no body, and those of vLLM are not ours.
    if status >= 400 and request.method != "HEAD":
        try:
            message = json.loads(body)["error"]["message"]
        except (ValueError, KeyError, TypeError):
            return f"no error in the answer of status {status}"
        if not message:
            return "an empty message"
    return None


class Run:
    """Counts of a run.

    Args:
        description: Description of the gateway.
    """

    def __init__(self, description: dict[str, Any]) -> None:
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []
        self.slowest = 0.0
        self._left = {
            operation.path: set(fields(description, operation.body))
            for operation in operations(description)
            if operation.body is not None
        }
        self.num_fields = sum(map(len, self._left.values()))

    @property
    def fields_left(self) -> list[str]:
        """Fields of the description that were not sent."""
        return sorted(f"{path}: {field}" for path, left in self._left.items() for field in left)

    def note(self, request: HostileRequest, status: int, body: bytes, seconds: float) -> None:
        """Note an answer."""
        self.statuses[status] += 1
        self.slowest = max(self.slowest, seconds)
        if left := self._left.get(request.path):
            with suppress(ValueError, RecursionError):
                left -= set(sent_fields(json.loads(request.content)))
        reason = what_is_wrong(request, status, body)
        if reason is not None:
            self.wrong.append(f"{reason}: {request.method} {request.path} {request.content[:300]!r} -> {body[:200]!r}")


def in_process(num: int, seed: int, most_seconds: float) -> dict[str, Any]:
    """Fuzz a gateway in this process."""
    engine = StandIn(known_fields(), PRIVATE_KEY, vllm_models(), fail_every=_FAIL_EVERY)
    transport = httpx.ASGITransport(engine, raise_app_exceptions=False)
    limits = Limits(body_bytes=200_000, picture_pixels=_PIXELS, num_posts=4)
    memory: list[int] = []
    process, begin = psutil.Process(), time.perf_counter()
    with asyncio.Runner() as runner:
        built: Assembly = assemble(_URL, limits, transport=transport)
        run, done = Run(built.app.openapi()), 0

        def use(request: HostileRequest) -> None:
            nonlocal done
            if time.process_time() > most_seconds:
                return
            done += 1
            now = time.perf_counter()
            try:
                status, body = runner.run(ask(built.app, request))
            except Exception as error:  # the finding
                run.wrong.append(
                    f"{error!r} left the gateway: {request.method} {request.path} {request.content[:300]!r}"
                )
            else:
                run.note(request, status, body, time.perf_counter() - now)
            if done % max(1, num // 10) == 0:
                memory.append(process.memory_info().rss // 2**20)
                print(f"{done} of {num}: {len(run.wrong)} wrong, {time.perf_counter() - begin:.0f} s", file=sys.stderr)

        for request in itertools.islice(every_field(seeded(seed)), num // 2):
            use(request)
        num_systematic = done
        for each in requests_with_each_field(built.app.openapi()).values():
            draw(each, _PER_FIELD, seed, use)
        draw(requests(built.app.openapi()), max(0, num - done), seed, use)
    notes = engine.notes
    clean = not run.wrong and not notes.deaths and not notes.smuggled and not run.fields_left
    return {
        "requests": done,
        "drawn by Hypothesis": done - num_systematic,
        "seconds": round(time.perf_counter() - begin),
        "seconds of the processor": round(time.process_time()),
        "statuses": dict(sorted(run.statuses.items())),
        "5xx but 503": sum(count for status, count in run.statuses.items() if status >= 500 and status != 503),
        "slowest, s": round(run.slowest, 2),
        "wrong": len(run.wrong),
        "first wrong": run.wrong[:5],
        "fields of the description": run.num_fields,
        "fields that were not sent": run.fields_left,
        "requests that reached the engine": notes.num_requests,
        "bodies read by vLLM's models": vllm_models() is not None,
        "deaths of the engine": len(notes.deaths),
        "smuggled": len(notes.smuggled),
        "first smuggled": notes.smuggled[:3],
        "largest picture decoded, pixels": notes.largest_pixels,
        "limit of pictures, pixels": _PIXELS,
        "memory, MB, by tenths": memory,
        "passed": clean and notes.largest_pixels <= _PIXELS,
    }


def _short(path: str, content: bytes) -> bytes:
    """Return a body whose answer is short: real models write until the context is full."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return content
    if "completions" not in path or not isinstance(body, dict):
        return content
    given = [name for name in ("max_tokens", "max_completion_tokens") if name in body]
    long = {name: _MOST_TOKENS for name in given if type(body[name]) is int and _MOST_TOKENS < body[name] <= 1_000_000}
    if given and not long:
        return content
    return json.dumps({**body, **(long or {"max_tokens": _MOST_TOKENS})}).encode()


async def at(url: str, model: str, num: int, seed: int, most_seconds: float, most_bytes: int) -> dict[str, Any]:
    """Fuzz the gateway at an address, one request after the other; what no HTTP client sends is left out."""
    begin = time.perf_counter()
    key = os.environ.get("INSTRUCT_MNER_API_KEY", KEY).encode()
    done = 0
    async with httpx.AsyncClient(base_url=url, timeout=120) as client:
        description = (await client.get("/openapi.json")).json()
        run, drawn = Run(description), _drawn(description, num, seed)
        for request in drawn:
            if done >= num:
                break
            if len(request.content) > most_bytes:
                continue
            content = request.content.replace(f'"{MODEL}"'.encode(), f'"{model}"'.encode())
            sent = replace(request, content=_short(request.path, content))
            headers = [(name, value.replace(KEY.encode(), key)) for name, value in sent.headers]
            if sent.method in {"CONNECT", "TRACE"} or not sent.path.startswith("/") or not sent.path.isascii():
                continue
            now = time.perf_counter()
            try:
                response = await client.request(sent.method, sent.path, headers=headers, content=sent.content)
            except (httpx.LocalProtocolError, httpx.InvalidURL, UnicodeError):
                continue  # not sent
            except httpx.TransportError as error:
                run.wrong.append(f"{error!r}: {sent.method} {sent.path} {sent.headers} {sent.content[:300]!r}")
                continue
            done += 1
            run.note(sent, response.status_code, response.content, time.perf_counter() - now)
            if time.perf_counter() - begin > most_seconds:
                break
        alive = (await client.get("/readyz")).status_code == 200
    return {
        "requests": done,
        "seconds": round(time.perf_counter() - begin),
        "statuses": dict(sorted(run.statuses.items())),
        "slowest, s": round(run.slowest, 2),
        "wrong": len(run.wrong),
        "first wrong": run.wrong[:5],
        "fields of the description": run.num_fields,
        "fields that were not sent": run.fields_left,
        "ready at the end": alive,
        "passed": not run.wrong and alive and not run.fields_left,
    }


def _drawn(description: dict[str, Any], num: int, seed: int) -> list[HostileRequest]:
    """Return requests of all sources, more than enough: some are not sent."""
    drawn: list[HostileRequest] = []
    draw(requests(description), num, seed, drawn.append)
    for each in requests_with_each_field(description).values():
        draw(each, 2, seed, drawn.append)
    every = list(every_field(seeded(seed)))
    generator = seeded(seed)
    generator.shuffle(every)
    mixed = [*drawn, *every[: num // 2]]
    generator.shuffle(mixed)
    return mixed


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=23)
    parser.add_argument("--most-seconds", type=float, default=1e9, help="of the processor; with --url, by the clock")
    parser.add_argument("--url")
    parser.add_argument("--most-bytes", type=int, default=10**9, help="with --url: larger bodies are left out")
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    common = (arguments.requests, arguments.seed, arguments.most_seconds)
    if arguments.url is None:
        result = in_process(*common)
    else:
        result = asyncio.run(at(arguments.url, arguments.model, *common, arguments.most_bytes))
    report = json.dumps(result, indent=1)
    print(report)
    if arguments.output is not None:
        arguments.output.write_text(report + "\n")
    sys.exit(not result["passed"])


if __name__ == "__main__":
    main()
