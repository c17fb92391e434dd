"""Load test of ``serve``: many clients, a tenth of the requests broken; good ones are answered, broken ones get a 4xx.

    instruct-mner serve NAME=RUN --port 8000 --vllm=--num-gpu-blocks-override=256 & echo $!
    python -m eval.benchmarks.soak_serving http://127.0.0.1:8000 --model NAME --pid PID --posts POSTS.jsonl

A good request is right where its answer is that of the same post sent alone. The key, if any, is read from
``INSTRUCT_MNER_API_KEY``. With ``--pid`` the memory of the server and of all its children is measured, and whether
they are the same processes at the end. Measuring starts after ``--warm-up`` seconds of the same requests: until then
vLLM touches its KV cache for the first time (a small one is touched soon), and fills its caches of pictures and
grammars. Memory is flat where it grows by less than ``--growth`` a minute. The program prints one JSON object; its exit
code is 1 where anything is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import os
import random
import statistics
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from PIL import Image

from eval.benchmarks.report_file import print_report
from eval.gates.common import seeded
from instruct_mner.data.loading import load_split

ENTITIES, CHAT = "/v1/entities", "/v1/chat/completions"
_BROKEN_EVERY = 10


@dataclass(frozen=True)
class Post:
    """Good request.

    Attributes:
        path: Path of the route.
        body: Body of the request.
    """

    path: str
    body: dict[str, Any]


@dataclass
class Tally:
    """Counts, wrong answers, times and memory of a run."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    memory: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))


def good_posts(path: str, model: str) -> list[Post]:
    """Return the posts of a file with their pictures as requests, and one stream of OpenAI's API."""
    dataset = load_split(path)
    posts = []
    for example in dataset.examples:
        pictures = [base64.b64encode(each.read_bytes()).decode() for each in dataset.picture_paths(example)]
        posts.append(Post(ENTITIES, {"text": example.text, "images": pictures, "model": model}))
    chat = {"model": model, "messages": [{"role": "user", "content": "Who is here?"}], "max_tokens": 16}
    return [*posts, Post(CHAT, {**chat, "temperature": 0, "stream": True})]


def _picture(size: tuple[int, int] = (64, 48)) -> str:
    file = io.BytesIO()
    Image.new("RGB", size, "red").save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def broken_requests(model: str, key: str | None) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return path and arguments of httpx, by what is wrong."""
    small, bomb, slow_bomb = _picture(), _picture((12_000, 12_000)), _picture((5_500, 5_000))

    def entities(**more: Any) -> tuple[str, dict[str, Any]]:
        return ENTITIES, {"json": {"text": "Ann", "model": model, **more}}

    def chat(url: str | None = None, text: str = "hi", **more: Any) -> tuple[str, dict[str, Any]]:
        parts: list[dict[str, Any]] = [{"type": "text", "text": text}]
        parts += [{"type": "image_url", "image_url": {"url": url}}] if url else []
        return CHAT, {"json": {"model": model, "messages": [{"role": "user", "content": parts}], **more}}

    kinds = {
        "bad JSON": (ENTITIES, {"content": b'{"text": "Ann'}),
        "bad JSON, chat": (CHAT, {"content": b"[[[" * 9000}),
        "bomb": entities(images=[bomb]),
        "bomb, chat": chat(f"data:image/png;base64,{bomb}"),
        "large picture": entities(images=[slow_bomb]),
        "truncated picture": entities(images=[small[: len(small) // 2]]),
        "truncated picture, chat": chat(f"data:image/png;base64,{small[:60]}"),
        "file:": entities(images=["file:///etc/passwd"]),
        "file:, chat": chat("file:///etc/passwd"),
        "http:": entities(images=["http://127.0.0.1:1/a.png"]),
        "http:, chat": chat("http://127.0.0.1:1/a.png"),
        "special tokens, label": entities(labels=["<image> <|im_end|>"]),
        "special tokens, chat": chat(text="<image><end_of_utterance><|vision_start|><|image_pad|><|im_end|>"),
        "unknown adapter": entities(model="nobody"),
        "unknown adapter, chat": (CHAT, {"json": {"model": "nobody", "messages": [{"role": "user", "content": "x"}]}}),
        "text too long": entities(text="x" * 30_000),
        "body too large": (ENTITIES, {"content": b" " * (17 * 2**20)}),
        "bad grammar": chat(structured_outputs={"grammar": "start: <<<"}),
        "pixel settings": chat(mm_processor_kwargs={"size": {"longest_edge": 10**9}}),
        "far too many choices": chat(n=1000),
    }
    if key is not None:
        kinds["wrong key"] = (ENTITIES, {"json": {"text": "Ann"}, "headers": {"authorization": "Bearer wrong"}})
    return kinds


async def read(client: httpx.AsyncClient, post: Post) -> tuple[int, Any]:
    """Return the status, and the part of the answer that must not change."""
    if post.path == ENTITIES:
        response = await client.post(post.path, json=post.body)
        answer = response.json()
        keep = [(each["start"], each["end"], each["label"], each["boxes"]) for each in answer.get("entities", [])]
        return response.status_code, keep if response.is_success else answer
    async with client.stream("POST", post.path, json=post.body) as response:
        lines = [json.loads(line[6:]) async for line in response.aiter_lines() if line.startswith("data: {")]
    return response.status_code, "".join(each["choices"][0]["delta"].get("content") or "" for each in lines)


async def ask_broken(client: httpx.AsyncClient, name: str, path: str, arguments: dict[str, Any], tally: Tally) -> None:
    """Send a broken request, which must be refused with a clear message."""
    headers = {"content-type": "application/json", **arguments.get("headers", {})}
    try:
        response = await client.post(path, **{**arguments, "headers": headers})
    except httpx.TransportError as error:
        # The door is shut while a body that is too large is still being sent: that is a refusal too.
        if name != "body too large":
            tally.wrong.append(f"{name}: {error!r}")
        tally.counts["shut out"] += 1
        return
    tally.counts[f"{response.status_code} {name}"] += 1
    message = response.json().get("error", {}).get("message", "")
    if not 400 <= response.status_code < 500 or len(message) < 8:
        tally.wrong.append(f"{name}: HTTP {response.status_code}: {response.text[:200]}")


async def client_loop(
    client: httpx.AsyncClient,
    generator: random.Random,
    posts: list[tuple[Post, Any]],
    broken: dict[str, tuple[str, dict[str, Any]]],
    until: float,
    tally: Tally,
) -> None:
    """Send requests one after the other until a time."""
    while time.monotonic() < until:
        if generator.randrange(_BROKEN_EVERY) == 0:
            name = generator.choice(list(broken))
            await ask_broken(client, name, *broken[name], tally)
            tally.counts["broken"] += 1
            continue
        post, expected = generator.choice(posts)
        begin = time.monotonic()
        try:
            status, answer = await read(client, post)
        except httpx.TransportError as error:
            status, answer = 0, repr(error)
        tally.seconds.append(time.monotonic() - begin)
        tally.counts["good"] += 1
        if status != 200 or answer != expected:
            tally.wrong.append(f"{status} {post.body.get('text', 'chat')!r}: {answer}, not {expected}")


def processes(pid: int) -> list[psutil.Process]:
    """Return the server process and its children."""
    server = psutil.Process(pid)
    return [server, *server.children(recursive=True)]


async def watch(pid: int, until: float, tally: Tally, begin: float) -> None:
    """Record the memory of the server and of each of its children every five seconds."""
    while time.monotonic() < until:
        at, all_of_them = time.monotonic() - begin, 0.0
        for each in processes(pid):
            # Private memory: what is shared with others (libraries) would be counted once a process.
            megabytes = each.memory_full_info().uss / 2**20
            tally.memory[f"{each.name()} {each.pid}"].append((at, megabytes))
            all_of_them += megabytes
        tally.memory["all"].append((at, all_of_them))
        await asyncio.sleep(5)


async def soak(chosen: argparse.Namespace) -> dict[str, Any]:
    """Run the load test and return the report."""
    key = os.environ.get("INSTRUCT_MNER_API_KEY")
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=chosen.url, headers=headers, timeout=300, limits=limits) as client:
        posts = [(post, (await read(client, post))[1]) for post in good_posts(chosen.posts, chosen.model)]
        tally, broken = Tally(), broken_requests(chosen.model, key)
        before = {each.pid for each in processes(chosen.pid)} if chosen.pid else set()
        warm = time.monotonic() + chosen.warm_up
        await asyncio.gather(
            *(client_loop(client, seeded(-number), posts, broken, warm, Tally()) for number in range(chosen.clients))
        )
        begin = time.monotonic()
        until = begin + chosen.seconds
        loops = [client_loop(client, seeded(number), posts, broken, until, tally) for number in range(chosen.clients)]
        if chosen.pid:
            loops.append(watch(chosen.pid, until, tally, begin))
        await asyncio.gather(*loops)
        after = {each.pid for each in processes(chosen.pid)} if chosen.pid else set()
        health = (await client.get("/health")).status_code
    return _report(chosen, tally, same=before == after, health=health)


def _report(chosen: argparse.Namespace, tally: Tally, *, same: bool, health: int) -> dict[str, Any]:
    tenths = statistics.quantiles(tally.seconds, n=20)
    report: dict[str, Any] = {
        "clients": chosen.clients,
        "seconds": chosen.seconds,
        "good": tally.counts.pop("good"),
        "broken": tally.counts.pop("broken"),
        "wrong": len(tally.wrong),
        "first wrong": tally.wrong[:5],
        "broken by status and kind": dict(sorted(tally.counts.items())),
        "seconds a good request": {"median": round(tenths[9], 3), "95th percentile": round(tenths[18], 3)},
        "health at the end": health,
    }
    if tally.memory:
        report["warm-up, seconds"] = chosen.warm_up
        report["private memory in MB"] = {name: _course(points) for name, points in tally.memory.items()}
        report["memory is flat"] = report["private memory in MB"]["all"]["growth a minute"] < chosen.growth
        report["same processes"] = same
    return report


def _course(points: list[tuple[float, float]]) -> dict[str, float]:
    """Return first, last and largest value, and the slope of the line through all values."""
    times, megabytes = zip(*points, strict=True)
    slope = statistics.linear_regression(times, megabytes).slope if len(points) > 1 else 0.0
    return {
        "first": round(megabytes[0]),
        "last": round(megabytes[-1]),
        "most": round(max(megabytes)),
        "growth a minute": round(60 * slope, 2),
    }


def main() -> int:
    """Print the report and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="address of the server")
    parser.add_argument("--model", required=True, help="name of the model at the server")
    parser.add_argument("--posts", required=True, help="posts with pictures")
    parser.add_argument("--pid", type=int, help="process of the server, whose memory is measured")
    parser.add_argument("--clients", type=int, default=64, help="clients at once; default 64")
    parser.add_argument("--seconds", type=float, default=300, help="length of the test; default 300")
    parser.add_argument(
        "--warm-up", type=float, default=120, help="seconds of the same requests before it; default 120"
    )
    parser.add_argument(
        "--growth", type=float, default=5, help="growth of memory in MB a minute that counts as flat; default 5"
    )
    parser.add_argument("--output", type=Path, help="file of the report")
    chosen = parser.parse_args()
    report = asyncio.run(soak(chosen))
    print_report(report, chosen.output)
    right = not report["wrong"] and report["health at the end"] == 200
    return int(not (right and report.get("same processes", True) and report.get("memory is flat", True)))


if __name__ == "__main__":
    sys.exit(main())
