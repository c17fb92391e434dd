"""Fuzzer over every field of every route; the gateway runs in this process, or is the one at ``--url``.

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
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil

from eval.gates.common import seeded
from eval.gates.gateway.assembly import KEY, PRIVATE_KEY, Assembly, assemble
from eval.gates.gateway.hostile import HostileRequest, anything, every_field
from eval.gates.gateway.stand_in import MODEL, StandIn, known_fields, vllm_models
from instruct_mner.serving.limits import Limits

# A picture of 200 x 60 pixels is decoded, one of 300 x 400 is not.
_PIXELS = 100_000
_FAIL_EVERY = 997
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
    """Counts of a run."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []
        self.slowest = 0.0

    def note(self, request: HostileRequest, status: int, body: bytes, seconds: float) -> None:
        """Note an answer."""
        self.statuses[status] += 1
        self.slowest = max(self.slowest, seconds)
        reason = what_is_wrong(request, status, body)
        if reason is not None:
            self.wrong.append(f"{reason}: {request.method} {request.path} {request.content[:300]!r} -> {body[:200]!r}")


async def in_process(num: int, seed: int, most_seconds: float) -> dict[str, Any]:
    """Fuzz a gateway in this process."""
    engine = StandIn(known_fields(), PRIVATE_KEY, vllm_models(), fail_every=_FAIL_EVERY)
    transport = httpx.ASGITransport(engine, raise_app_exceptions=False)
    limits = Limits(body_bytes=200_000, picture_pixels=_PIXELS, num_posts=4)
    built: Assembly = assemble(_URL, limits, transport=transport)
    built.lifecycle.note_token()
    generator, run, begin = seeded(seed), Run(), time.perf_counter()
    requests = itertools.islice(itertools.chain(every_field(generator), anything(generator)), num)
    memory: list[int] = []
    process = psutil.Process()
    done = 0
    for done, request in enumerate(requests, start=1):
        now = time.perf_counter()
        try:
            status, body = await ask(built.app, request)
        except Exception as error:  # the finding
            run.wrong.append(f"{error!r} left the gateway: {request.method} {request.path} {request.content[:300]!r}")
            continue
        run.note(request, status, body, time.perf_counter() - now)
        if done % max(1, num // 10) == 0:
            memory.append(process.memory_info().rss // 2**20)
            print(f"{done} of {num}: {len(run.wrong)} wrong, {time.perf_counter() - begin:.0f} s", file=sys.stderr)
        if time.process_time() > most_seconds:
            break
    notes = engine.notes
    return {
        "requests": done,
        "seconds": round(time.perf_counter() - begin),
        "seconds of the processor": round(time.process_time()),
        "statuses": dict(sorted(run.statuses.items())),
        "5xx but 503": sum(count for status, count in run.statuses.items() if status >= 500 and status != 503),
        "slowest, s": round(run.slowest, 2),
        "wrong": len(run.wrong),
        "first wrong": run.wrong[:5],
        "requests that reached the engine": notes.num_requests,
        "bodies read by vLLM's models": vllm_models() is not None,
        "deaths of the engine": len(notes.deaths),
        "smuggled": len(notes.smuggled),
        "first smuggled": notes.smuggled[:3],
        "largest picture decoded, pixels": notes.largest_pixels,
        "limit of pictures, pixels": _PIXELS,
        "memory, MB, by tenths": memory,
        "passed": not run.wrong and not notes.deaths and not notes.smuggled and notes.largest_pixels <= _PIXELS,
    }


def _short(path: str, content: bytes) -> bytes:
    """Return a body whose answer is short where it says nothing else: real models write until the context is full."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return content
    if "completions" not in path or not isinstance(body, dict) or {"max_tokens", "max_completion_tokens"} & set(body):
        return content
    return json.dumps({**body, "max_tokens": 4}).encode()


async def at(url: str, model: str, num: int, seed: int, most_seconds: float, most_bytes: int) -> dict[str, Any]:
    """Fuzz the gateway at an address, one request after the other; what no HTTP client sends is left out."""
    generator, run, begin = seeded(seed), Run(), time.perf_counter()
    key = os.environ.get("INSTRUCT_MNER_API_KEY", KEY).encode()
    every = list(itertools.islice(every_field(generator), 1_000_000))
    generator.shuffle(every)
    done = 0
    async with httpx.AsyncClient(base_url=url, timeout=120) as client:
        for request in itertools.islice(
            itertools.chain.from_iterable(zip(every, anything(generator), strict=False)), num
        ):
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
        "ready at the end": alive,
        "passed": not run.wrong and alive,
    }


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
    work = (
        in_process(*common)
        if arguments.url is None
        else at(arguments.url, arguments.model, *common, arguments.most_bytes)
    )
    report = json.dumps(asyncio.run(work), indent=1)
    print(report)
    if arguments.output is not None:
        arguments.output.write_text(report + "\n")
    sys.exit(not json.loads(report)["passed"])


if __name__ == "__main__":
    main()
