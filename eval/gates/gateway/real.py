"""``serve`` with real vLLM and a grounded adapter: what a stand-in cannot show.

    python -m eval.gates.gateway.grounded_adapter --folder runs/grounded
    python -m eval.gates.gateway.real --run runs/grounded/run

One start measures, in this order: the lines of the probes; the processor time of an idle vLLM, with and without a probe
of ``/readyz`` every five seconds; a queue that is full; SIGSTOP of the engine; requests that are abandoned; the fuzzer.
Then ``mner.json`` is spoiled, and ``serve`` and ``tag --engine ray`` must refuse the adapter with the numbers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from eval.gates.gateway import abandoned, fuzz
from eval.gates.gateway.assembly import KEY
from eval.gates.gateway.harness import HEADERS, report, wait_for
from instruct_mner.vllm_runtime.process import free_port

_FLAGS = ("--vllm=--enforce-eager", "--vllm=--max-model-len=2048", "--max-queued", "6", "--restart", "on-failure")
_NAME = "grounded"
_ENVIRONMENT = {"INSTRUCT_MNER_API_KEY": KEY, "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
_SPOILED: dict[str, Callable[[dict[str, Any]], None]] = {
    "box_convention: absolute": lambda manifest: manifest.update(box_convention="absolute"),
    "box_range: 100": lambda manifest: manifest["answer"].update(box_range=100),
}


@contextmanager
def _serving(run: Path, port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "instruct_mner", "serve", f"{_NAME}={run}", "--port", str(port), *_FLAGS]
    with log.open("wb") as file:
        process = subprocess.Popen(  # noqa: S603 (our own program)
            command, stdout=file, stderr=subprocess.STDOUT, env={**os.environ, **_ENVIRONMENT}
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(120)


def _get(url: str, path: str, seconds: float = 5.5) -> int | None:
    try:
        return httpx.get(f"{url}{path}", headers=HEADERS, timeout=seconds).status_code
    except httpx.TransportError:
        return None


def _processor_seconds(family: list[psutil.Process]) -> float:
    return sum(sum(each.cpu_times()[:2]) for each in family if each.is_running())


def _idle(url: str, family: list[psutil.Process], seconds: float) -> dict[str, float]:
    """Return the share of a core that all processes use while nobody asks, and while a probe does."""
    shares = {}
    for name, every in (("nobody asks", seconds), ("/readyz every 5 s", 5.0)):
        time.sleep(3)
        begin, then = time.perf_counter(), _processor_seconds(family)
        while time.perf_counter() - begin < seconds:
            if every < seconds:
                _get(url, "/readyz")
            time.sleep(min(every, seconds))
        shares[name] = round((_processor_seconds(family) - then) / (time.perf_counter() - begin), 3)
    return shares


async def _fill_queue(url: str, num: int) -> dict[str, Any]:
    body = {"model": _NAME, "messages": [{"role": "user", "content": "Tell a story."}], "max_tokens": 60}
    body |= {"ignore_eos": True, "temperature": 1}
    async with httpx.AsyncClient(base_url=url, headers=HEADERS, timeout=300) as client:
        answers = await asyncio.gather(*(client.post("/v1/chat/completions", json=body) for _ in range(num)))
        ready = await client.get("/readyz")
    pauses = Counter(each.headers.get("retry-after") for each in answers if each.status_code == 503)
    statuses = Counter(each.status_code for each in answers)
    return {
        "statuses": dict(statuses),
        "Retry-After of the 503": dict(pauses),
        "ready afterwards": ready.status_code,
        "passed": set(statuses) == {200, 503} and None not in pauses and ready.status_code == 200,
    }


def _stop(url: str, family: list[psutil.Process]) -> dict[str, Any]:
    """Stop vLLM's engine core, or whatever computes, and ask once."""
    [core, *_] = [each for each in family if "EngineCore" in each.name() or "EngineCore" in " ".join(each.cmdline())]
    time.sleep(3)  # an idle engine
    core.send_signal(signal.SIGSTOP)
    begin = time.perf_counter()
    first = _get(url, "/readyz")
    red = time.perf_counter() - begin
    health, live = _get(url, "/health"), _get(url, "/livez")
    core.send_signal(signal.SIGCONT)
    green = wait_for(lambda: _get(url, "/readyz") == 200, 60)
    return {
        "first answer after SIGSTOP": first,
        "seconds": round(red, 2),
        "/health, /livez": [health, live],
        "green after SIGCONT, s": green,
        "passed": first == health == 503 and live == 200 and red <= 5 and green is not None,
    }


def _measure(arguments: argparse.Namespace, log: Path) -> dict[str, Any]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    os.environ["INSTRUCT_MNER_API_KEY"] = KEY
    with _serving(arguments.run, port, log) as process:
        ready = wait_for(lambda: process.poll() is not None or _get(url, "/livez") == 200, 1200)
        if ready is None or process.poll() is not None:
            return {"exit code": process.poll(), "said": log.read_text()[-3000:], "passed": False}
        lines = [line for line in log.read_text().splitlines() if re.match(r"(warning: )?(pictures|boxes) ", line)]
        print(ready, lines, file=sys.stderr, flush=True)
        server = psutil.Process(process.pid)
        family = [server, *server.children(recursive=True)]
        steps: dict[str, Callable[[], dict[str, Any]]] = {
            "share of a core": lambda: _idle(url, family, arguments.idle_seconds),
            "queue of 6, 24 requests at once": lambda: asyncio.run(_fill_queue(url, 24)),
            "SIGSTOP of the engine core": lambda: _stop(url, family),
            "abandoned": lambda: abandoned.prove(
                argparse.Namespace(url=url, model=_NAME, requests=4, repeats=arguments.repeats, seconds=2.0)
            ),
            "fuzzer": lambda: asyncio.run(fuzz.at(url, _NAME, arguments.requests, 25, arguments.fuzz_seconds, 15_000)),
        }
        results: dict[str, Any] = {"ready after, s": ready, "lines of the probes": lines}
        for name, step in steps.items():
            results[name] = step()
            print(name, results[name], file=sys.stderr, flush=True)
        family = [server, *server.children(recursive=True)]
        process.send_signal(signal.SIGTERM)
        results["exit code after SIGTERM"] = process.wait(120)
    _, left = psutil.wait_procs(family, timeout=30)
    results["left behind"] = [each.pid for each in left]
    boxes = [line for line in lines if line.startswith("boxes of")]
    passed = len(lines) > len(boxes) == 1 and not left and results["exit code after SIGTERM"] == 0
    idle = results["share of a core"]["nobody asks"] <= 0.05
    return {**results, "passed": passed and idle and all(results[name].get("passed", True) for name in steps)}


def _spoiled(run: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Return a copy of a run whose manifest says something else."""
    copy = folder / "spoiled"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(run, copy)
    manifest = copy / "adapter" / "mner.json"
    values = json.loads(manifest.read_text())
    change(values)
    manifest.write_text(json.dumps(values))
    return copy


def _refusal(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-m", "instruct_mner", *command],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **_ENVIRONMENT},
        timeout=1200,
    )
    said = " ".join(f"{done.stdout} {done.stderr}".split())
    match = re.search(r"boxes of .*? in mner\.json", said)
    message = said[-600:] if match is None else match[0]
    return {"exit code": done.returncode, "message": message, "passed": match is not None and done.returncode == 2}


def _refusals(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    post = folder / "posts.jsonl"
    post.write_text(json.dumps({"id": "1", "text": "The red square"}) + "\n")
    results = {}
    for name, change in _SPOILED.items():
        spoiled = _spoiled(arguments.run, folder, change)
        serve = ["serve", f"{_NAME}={spoiled}", "--port", str(free_port()), *_FLAGS]
        results[f"serve, {name}"] = _refusal(serve)
        print(results, file=sys.stderr, flush=True)
    tag = ["tag", str(post), "--adapter", str(spoiled), "--engine", "ray", "--output", str(folder / "out.jsonl")]
    results[f"tag --engine ray, {name}"] = _refusal([*tag, "--workers", "1"])
    return results


def prove(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure one server, and see two refusals of ``serve`` and one of a worker of Ray."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        results = {} if arguments.refusals_only else {"serve": _measure(arguments, folder / "serve.log")}
        results |= _refusals(arguments, folder)
    return {**results, "passed": all(each["passed"] for each in results.values())}


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="run folder of a grounded adapter")
    parser.add_argument("--requests", type=int, default=2_000, help="of the fuzzer")
    parser.add_argument("--fuzz-seconds", type=float, default=1200)
    parser.add_argument("--repeats", type=int, default=10, help="of abandoned requests on each route")
    parser.add_argument("--idle-seconds", type=float, default=10.0)
    parser.add_argument("--refusals-only", action="store_true")
    report(parser, prove)


if __name__ == "__main__":
    main()
