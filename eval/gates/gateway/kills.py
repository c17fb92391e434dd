"""Kill matrix: each process of a server is killed, stopped, or told to end, with and without restarts.

    python -m eval.gates.gateway.kills

Nothing may be left behind, exit codes must say what happened, and ``/readyz`` must be red within 5 seconds where the
engine hangs.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from eval.gates.gateway.harness import left_of, report, running, start, wait_for

# What is killed, and the exit code of a server that does not start it again: 137 where the engine was killed, 1 where
# it ended because its worker did, or where nobody was left to say how.
_CODES = {"engine": 137, "worker": 1, "guard": 1}


def _kill_without_restart(victim: str) -> dict[str, Any]:
    with running("--restart", "never") as server:
        assert server.post().status_code == 200
        family = server.family()
        os.kill(server.pids[victim], signal.SIGKILL)
        code = server.process.wait(60)
        left = left_of(family)
    wanted = _CODES.get(victim, -signal.SIGKILL)
    return {"exit code": code, "wanted": wanted, "left behind": left, "passed": code == wanted and not left}


def _kill_with_restart(victim: str) -> dict[str, Any]:
    with running("--restart", "on-failure") as server:
        assert server.post().status_code == 200
        family = server.family()[1:]
        os.kill(server.pids[victim], signal.SIGKILL)
        red = wait_for(lambda: not server.is_ready(), 10)
        refused = server.post()
        seconds = wait_for(server.is_ready, 120)
        answered = seconds is not None and server.post().status_code == 200
        old = left_of(family)
        everything = server.family()
        code = server.end()
        left = left_of(everything)
    told = refused.status_code == 503 and "retry-after" in refused.headers
    passed = red is not None and told and answered and not old and not left and code == 0
    return {
        "red after, s": red,
        "503 with Retry-After meanwhile": told,
        "ready again after, s": seconds,
        "left of the old engine": old,
        "exit code after SIGTERM": code,
        "left behind": left,
        "passed": passed,
    }


def _kill_of_a_decoder() -> dict[str, Any]:
    from eval.gates.gateway.hostile import BODIES

    with running() as server:
        images = BODIES["post"][1]["images"]
        first = server.post(images=images).status_code
        decoders = [each for each in server.family() if "instruct_mner.serving.worker" in each.cmdline()]
        for each in decoders:
            each.kill()
        second = server.post(images=images)
        third = server.post(images=images).status_code
    # A reply that was on its way is lost with its process; the next picture has a new one.
    passed = bool(decoders) and first == third == 200 and second.status_code in {200, 422}
    return {"killed": len(decoders), "statuses": [first, second.status_code, third], "passed": passed}


def _stop_of_the_engine(idle_seconds: float) -> dict[str, Any]:
    """Stop an engine that was asked for a token just now, or one that was idle, of which the first question must tell.

    In both cases a client waits five seconds at most for an answer; metrics must be answered by the gateway alone.
    """
    with running() as server:
        assert server.is_ready()
        time.sleep(idle_seconds)
        begin = time.perf_counter()
        os.kill(server.pids["engine"], signal.SIGSTOP)
        first = server.get("/health" if idle_seconds else "/readyz")
        told = first is not None and first.status_code == 503
        red = told or wait_for(lambda: not server.is_ready(), 20) is not None
        seconds = round(time.perf_counter() - begin, 2)
        health, metrics = server.get("/health"), server.get("/metrics", 10)
        os.kill(server.pids["engine"], signal.SIGCONT)
        green = wait_for(server.is_ready, 20)
    statuses = [None if each is None else each.status_code for each in (first, health, metrics)]
    wanted = [503 if idle_seconds else 200, 503, 200]
    return {
        "red after, s": seconds,
        "first answer, /health, /metrics": statuses,
        "green again after, s": green,
        "passed": red and seconds <= 5 and statuses == wanted and green is not None,
    }


def _signal(number: signal.Signals, *, ignored: bool) -> dict[str, Any]:
    with running(ignore=(number,) if ignored else ()) as server:
        family = server.family()
        server.process.send_signal(number)
        if ignored:
            time.sleep(1)
            answered = server.post().status_code == 200
            return {"answers on": answered, "passed": answered and server.end() == 0}
        code = server.process.wait(60)
        left = left_of(family)
    return {"exit code": code, "left behind": left, "passed": code == 0 and not left}


def _wrong_setting() -> dict[str, Any]:
    """Start another server on the port of one."""
    with running() as server, TemporaryDirectory() as folder:
        code = start(server.port, Path(folder)).process.wait(60)
    return {"exit code": code, "passed": code == 2}


def prove(_: argparse.Namespace) -> dict[str, Any]:
    """Run the whole matrix."""
    cases: dict[str, Callable[[], dict[str, Any]]] = {}
    for victim in (*_CODES, "gateway"):
        cases[f"kill -9 of the {victim}"] = partial(_kill_without_restart, victim)
    for victim in _CODES:
        cases[f"kill -9 of the {victim}, --restart on-failure"] = partial(_kill_with_restart, victim)
    cases |= {
        "kill -9 of a decoder of pictures": _kill_of_a_decoder,
        "SIGSTOP of the engine": partial(_stop_of_the_engine, 0.0),
        "SIGSTOP of an engine that was idle for 5 s, one question": partial(_stop_of_the_engine, 5.0),
        "SIGHUP": partial(_signal, signal.SIGHUP, ignored=False),
        "SIGHUP under nohup": partial(_signal, signal.SIGHUP, ignored=True),
        "SIGINT": partial(_signal, signal.SIGINT, ignored=False),
        "the port is taken": _wrong_setting,
    }
    results: dict[str, Any] = {}
    for name, case in cases.items():
        results[name] = case()
        print(f"{name}: {results[name]}", file=sys.stderr, flush=True)
    return {**results, "passed": all(each["passed"] for each in results.values())}


if __name__ == "__main__":
    report(argparse.ArgumentParser(description=__doc__), prove)
