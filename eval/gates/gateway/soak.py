"""Soak: 64 clients, a tenth of the requests hostile; good ones are answered right, memory is flat.

    python -m eval.gates.gateway.soak --minutes 30

For real vLLM there is ``eval.benchmarks.soak_serving``.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections import Counter
from typing import Any

import httpx

from eval.gates.common import seeded
from eval.gates.gateway.fuzz import what_is_wrong
from eval.gates.gateway.harness import HEADERS, Server, report, running
from eval.gates.gateway.hostile import anything

_HOSTILE = 0.1
_WARM_UP = 0.25
_GROWTH = 32 * 2**20


class _Soak:
    def __init__(self, server: Server, client: httpx.AsyncClient, end: float) -> None:
        self.server, self.client, self.end = server, client, end
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []

    async def client_loop(self, number: int) -> None:
        generator = seeded(number)
        hostile = anything(generator)
        while time.monotonic() < self.end:
            try:
                if generator.random() < _HOSTILE:
                    await self._hostile(next(hostile))
                else:
                    await self._good(generator)
            except httpx.TransportError as error:
                self.wrong.append(repr(error))

    async def _good(self, generator: random.Random) -> None:
        name = f"Name{generator.randrange(10**6)}"
        response = await self.client.post("/v1/entities", json={"text": f"{name} is here", "labels": ["PER"]})
        self.counts[f"good {response.status_code}"] += 1
        if response.status_code == 200:
            if [each["text"] for each in response.json()["entities"]] != [name]:
                self.wrong.append(f"{name}: {response.text[:200]}")
        elif response.status_code not in {429, 503}:
            self.wrong.append(f"good post: {response.status_code} {response.text[:200]}")

    async def _hostile(self, request: Any) -> None:
        if request.method in {"CONNECT", "TRACE"} or not request.path.startswith("/") or not request.path.isascii():
            return
        try:
            response = await self.client.request(
                request.method, request.path, headers=request.headers, content=request.content
            )
        except (httpx.LocalProtocolError, httpx.InvalidURL, UnicodeError):
            return  # what no client sends
        self.counts[f"hostile {response.status_code}"] += 1
        # The answer to what is no HTTP is uvicorn's own.
        if response.text != "Invalid HTTP request received.":
            reason = what_is_wrong(request, response.status_code, response.content)
            if reason is not None:
                self.wrong.append(f"{reason}: {request.method} {request.path} {response.text[:200]}")


async def _soak(server: Server, num: int, minutes: float) -> tuple[_Soak, list[int]]:
    memory: list[int] = []
    limits = httpx.Limits(max_connections=num)
    async with httpx.AsyncClient(base_url=server.url, timeout=120, limits=limits, headers=HEADERS) as client:
        end = time.monotonic() + 60 * minutes
        soak = _Soak(server, client, end)
        tasks = [asyncio.create_task(soak.client_loop(number)) for number in range(num)]
        while time.monotonic() < end:
            await asyncio.sleep(min(5.0, 6 * minutes))
            memory.append(server.memory())
        await asyncio.gather(*tasks)
    return soak, memory


def prove(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run it."""
    with running("--engine-seconds", "0.05") as server:
        soak, memory = asyncio.run(_soak(server, arguments.clients, arguments.minutes))
        alive = server.is_ready()
        code = server.end()
    later = memory[int(len(memory) * _WARM_UP) :]
    growth = sum(later[-3:]) / 3 - sum(later[:3]) / 3
    good = soak.counts["good 200"]
    passed = not soak.wrong and alive and code == 0 and good > 0 and growth <= _GROWTH
    return {
        "clients": arguments.clients,
        "minutes": arguments.minutes,
        "answers": dict(sorted(soak.counts.items())),
        "wrong": len(soak.wrong),
        "first wrong": soak.wrong[:5],
        "memory after the first quarter, MB": round(sum(later[:3]) / 3 / 2**20),
        "memory at the end, MB": round(sum(later[-3:]) / 3 / 2**20),
        "ready at the end": alive,
        "passed": passed,
    }


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--minutes", type=float, default=30)
    report(parser, prove)


if __name__ == "__main__":
    main()
