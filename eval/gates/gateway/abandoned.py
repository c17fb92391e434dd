"""Requests that their clients abandon: vLLM is idle within two seconds, on every route, streamed or not.

    python -m eval.gates.gateway.abandoned --url http://127.0.0.1:8000 --model NAME

The key is in ``INSTRUCT_MNER_API_KEY``. The time is measured from the end of the connection until ``/metrics`` of
vLLM counts no request. Answers are made long: they must still be under way when the client goes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import time
from typing import Any

import httpx

from eval.gates.gateway.assembly import KEY
from eval.gates.gateway.harness import report

_LONG = {"max_tokens": 1500, "ignore_eos": True, "temperature": 1}


def bodies(model: str, number: int) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return path and body of long requests, by name; another number is another text, which is not cached."""
    chat = {"model": model, "messages": [{"role": "user", "content": "Tell me a story."}], **_LONG}
    text = " ".join(f"Name{each}" for each in range(400 * number, 400 * number + 400))
    return {
        "chat": ("/v1/chat/completions", chat),
        "chat, streamed": ("/v1/chat/completions", {**chat, "stream": True}),
        "completion": ("/v1/completions", {"model": model, "prompt": "Once", **_LONG}),
        "entities": ("/v1/entities", {"text": text, "model": model}),
        "entities of several posts": ("/v1/entities", {"posts": [{"text": text}] * 4, "model": model}),
    }


async def _running(client: httpx.AsyncClient) -> float:
    metrics = (await client.get("/metrics")).text
    return sum(map(float, re.findall(r"^vllm:num_requests_(?:running|waiting)\{[^}]*\} (\S+)$", metrics, re.MULTILINE)))


async def _abandon(url: str, headers: dict[str, str], path: str, body: dict[str, Any], num: int) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=120) as watching:
        client = httpx.AsyncClient(base_url=url, headers=headers, timeout=120)
        tasks = [asyncio.create_task(_send(client, path, body)) for _ in range(num)]
        begin, seen = time.perf_counter(), 0.0
        while seen < 1 and time.perf_counter() - begin < 30 and not all(task.done() for task in tasks):
            seen = await _running(watching)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await client.aclose()
        begin = time.perf_counter()
        while await _running(watching) and time.perf_counter() - begin < 60:
            await asyncio.sleep(0.05)
        return {"under way": seen, "idle after, s": round(time.perf_counter() - begin, 2)}


async def _send(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    async with client.stream("POST", path, json=body) as response:
        async for _ in response.aiter_raw():
            pass


def prove(arguments: argparse.Namespace) -> dict[str, Any]:
    """Abandon requests on every route, again and again."""
    headers = {"authorization": f"Bearer {os.environ.get('INSTRUCT_MNER_API_KEY', KEY)}"}
    results: dict[str, list[dict[str, Any]]] = {}
    for number in range(arguments.repeats):
        for name, (path, body) in bodies(arguments.model, number).items():
            result = asyncio.run(_abandon(arguments.url, headers, path, body, arguments.requests))
            results.setdefault(name, []).append(result)
    times = {name: [each["idle after, s"] for each in every] for name, every in results.items()}
    num_seen = {name: sum(each["under way"] >= 1 for each in every) for name, every in results.items()}
    return {
        "idle after, s": times,
        "slowest, s": {name: max(each) for name, each in times.items()},
        "times under way": num_seen,
        "load of the machine": [round(value, 1) for value in os.getloadavg()],
        # An answer that has come before the client could go tells nothing.
        "passed": all(max(each) <= arguments.seconds for each in times.values()) and all(num_seen.values()),
    }


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--requests", type=int, default=4, help="abandoned at once")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=2.0, help="in which vLLM has to be idle")
    report(parser, prove)


if __name__ == "__main__":
    main()
