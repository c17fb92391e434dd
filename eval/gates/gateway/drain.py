"""SIGTERM under 64 clients: what is under way is answered, what comes later gets 503 as JSON, nothing is cut.

    python -m eval.gates.gateway.drain --clients 64

Twice: with an engine that answers within the drain time, and with one that does not, whose answers are 503 as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import Counter
from typing import Any

import httpx

from eval.gates.gateway.harness import HEADERS, POST, Server, report, running


async def _clients(server: Server, num: int, seconds: float) -> tuple[Counter[str], Counter[str]]:
    """Ask from many clients, end the server in between; return the outcomes of requests sent before, and after."""
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    signalled = asyncio.Event()

    async def one(client: httpx.AsyncClient) -> None:
        while server.process.poll() is None:
            counts = after if signalled.is_set() else before
            try:
                response = await client.post("/v1/entities", json=POST)
                is_json = response.status_code == 200 or "message" in response.json()["error"]
                counts[f"{response.status_code}{'' if is_json else ' without JSON'}"] += 1
                if response.status_code != 200:
                    await asyncio.sleep(0.2)
            except httpx.TransportError as error:
                counts[type(error).__name__] += 1
                await asyncio.sleep(0.2)

    limits = httpx.Limits(max_connections=num)
    async with httpx.AsyncClient(base_url=server.url, headers=HEADERS, timeout=120, limits=limits) as client:
        tasks = [asyncio.create_task(one(client)) for _ in range(num)]
        await asyncio.sleep(seconds)
        signalled.set()
        server.process.terminate()
        await asyncio.gather(*tasks)
    return before, after


def _run(num: int, engine_seconds: float, drain_seconds: float, seconds: float, wanted: str) -> dict[str, Any]:
    with running("--engine-seconds", str(engine_seconds), "--drain-seconds", str(drain_seconds)) as server:
        begin = time.perf_counter()
        before, after = asyncio.run(_clients(server, num, seconds))
        code = server.process.wait(60)
        whole = time.perf_counter() - begin - seconds
    # When the server has ended, nobody is there; a connection that was closed meanwhile took no request.
    late = set(after) - {"503", "ConnectError", "RemoteProtocolError", "ReadError"}
    passed = set(before) <= {"200", wanted} and before[wanted] >= num and not late and code == 0
    return {
        "sent before the signal": dict(before),
        "sent after it": dict(after),
        "exit code": code,
        "seconds to the end": round(whole, 1),
        "passed": passed,
    }


def prove(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run both."""
    results = {
        "answers take 1 s, drain 30 s": _run(arguments.clients, 1.0, 30.0, 3.0, "200"),
        "answers take 60 s, drain 2 s": _run(arguments.clients, 60.0, 2.0, 3.0, "503"),
    }
    return {**results, "passed": all(each["passed"] for each in results.values())}


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=64)
    report(parser, prove)


if __name__ == "__main__":
    main()
