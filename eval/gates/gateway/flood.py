"""A flood without a key: half-open connections, half headers, large headers; a client with a key goes on meanwhile.

    python -m eval.gates.gateway.flood --connections 2000 --megabytes 200 --posts 200

The keyed client may take twice its time, and the memory of the gateway may grow by 32 MB. The flood runs in a process
of its own. With ``--nice 0`` it takes as much of the processor as the server, where both have the same one; with the
lowest priority its own work is not counted as the server's. The time of the processor that the gateway used tells what
the flood costs it, whatever else runs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from typing import Any

import httpx

from eval.gates.gateway.harness import HEADERS, POST, Server, report, running

# A line of the flood comes each half second: one that was waited for is new.
_QUIET_SECONDS = 0.2
_LARGE = b"GET /v1/models HTTP/1.1\r\nhost: a\r\n" + b"x-filler: " + b"y" * 4_000 + b"\r\n"
_HALF = b"POST /v1/entities HTTP/1.1\r\nhost: a\r\nauthorization: Bea"


async def flood(port: int, num: int, megabytes: int) -> None:
    """Open connections again and again, a third of each kind, and print what was sent; until the process is ended."""
    sent = [0, 0]

    async def one(kind: int) -> None:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                sent[0] += 1
                if kind == 1:
                    writer.write(_HALF)
                    await writer.drain()
                while kind == 2 and sent[1] < megabytes * 2**20:
                    writer.write(_LARGE)
                    sent[1] += len(_LARGE)
                    await writer.drain()
                await asyncio.sleep(5)
                writer.close()
            except OSError:
                await asyncio.sleep(0.2)

    tasks = [asyncio.create_task(one(number % 3)) for number in range(num)]
    while True:
        print(*sent, flush=True)
        await asyncio.sleep(0.5)
        del tasks[num:]


def _seconds(server: Server, num: int) -> list[float]:
    """Return the times of a keyed client, on one connection and with a new one each tenth time."""
    times = []
    with httpx.Client(base_url=server.url, headers=HEADERS, timeout=60) as kept:
        for number in range(num):
            begin = time.perf_counter()
            if number % 10:
                response = kept.post("/v1/entities", json=POST)
            else:
                response = httpx.post(f"{server.url}/v1/entities", json=POST, headers=HEADERS, timeout=60)
            assert response.status_code == 200, response.text
            times.append(time.perf_counter() - begin)
    return times


def _last(flooding: subprocess.Popen[str]) -> tuple[int, int]:
    """Return the latest counts of the flood: lines that were written meanwhile are read first."""
    assert flooding.stdout is not None
    while True:
        begin = time.perf_counter()
        opened, sent = map(int, flooding.stdout.readline().split())
        if time.perf_counter() - begin > _QUIET_SECONDS:
            return opened, sent


def prove(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure a keyed client alone, in a flood, and alone again."""
    with running("--engine-seconds", "0.02") as server:
        _seconds(server, arguments.posts)
        then = server.processor_seconds()
        before, memory_before = _seconds(server, arguments.posts), server.memory()
        alone = server.processor_seconds() - then
        command = [sys.executable, "-m", "eval.gates.gateway.flood", "--flood-at", str(server.port)]
        command += ["--connections", str(arguments.connections), "--megabytes", str(arguments.megabytes)]
        with subprocess.Popen(  # noqa: S603 (our own program)
            command,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=partial(os.nice, arguments.nice),  # noqa: PLW1509 (no threads)
        ) as flooding:
            assert flooding.stdout is not None
            opened = sent = 0
            while opened < arguments.connections:
                opened, sent = map(int, flooding.stdout.readline().split())
            opened_before, then, begin = opened, server.processor_seconds(), time.perf_counter()
            during, memory_during = _seconds(server, arguments.posts), server.memory()
            in_flood, wall = server.processor_seconds() - then, time.perf_counter() - begin
            opened, sent = _last(flooding)
            num_opened, begin = opened - opened_before, time.perf_counter()
            while sent < arguments.megabytes * 2**20 and time.perf_counter() - begin < arguments.most_seconds:
                opened, sent = map(int, flooding.stdout.readline().split())
                memory_during = max(memory_during, server.memory())
            flooding.kill()
        after, memory_after = _seconds(server, arguments.posts), server.memory()
    baseline = statistics.median(before + after)
    ratio = statistics.median(during) / baseline
    total = sum(during) / ((sum(before) + sum(after)) / 2)
    growth = (max(memory_during, memory_after) - memory_before) / 2**20
    passed = ratio <= 2 and total <= 2 and growth <= 32 and sent >= arguments.megabytes * 2**20
    return {
        "posts of the keyed client": arguments.posts,
        "median alone, ms": round(1000 * baseline, 1),
        "median in the flood, ms": round(1000 * statistics.median(during), 1),
        "ratio of medians": round(ratio, 2),
        "ratio of sums": round(total, 2),
        "load of the machine": [round(value, 1) for value in os.getloadavg()],
        "the gateway's ms of the processor a post, alone": round(1000 * alone / arguments.posts, 1),
        "the same in the flood": round(1000 * in_flood / arguments.posts, 1),
        "share of a processor that the flood costs the gateway": round((in_flood - alone) / wall, 3),
        "connections of the flood a second": round(num_opened / wall),
        "slowest alone, ms": round(1000 * max(before + after), 1),
        "slowest in the flood, ms": round(1000 * max(during), 1),
        "connections opened": opened,
        "megabytes of headers sent": round(sent / 2**20),
        "memory before, MB": round(memory_before / 2**20),
        "largest memory in the flood, MB": round(memory_during / 2**20),
        "memory after, MB": round(memory_after / 2**20),
        "passed": passed,
    }


def main() -> None:
    """Run the program, or, in a process of its own, the flood."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=2_000)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--posts", type=int, default=200)
    parser.add_argument("--nice", type=int, default=19, help="of the flood")
    parser.add_argument("--most-seconds", type=float, default=180, help="for the rest of the headers")
    parser.add_argument("--flood-at", type=int, help=argparse.SUPPRESS)
    port = parser.parse_known_args()[0].flood_at
    if port is not None:
        arguments = parser.parse_args()
        with suppress(KeyboardInterrupt):
            asyncio.run(flood(port, arguments.connections, arguments.megabytes))
        return
    report(parser, prove)


if __name__ == "__main__":
    main()
