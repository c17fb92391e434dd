"""A gateway as a process, for the proofs: started, asked, and looked after."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from eval.gates.gateway.assembly import KEY
from instruct_mner.vllm_runtime.process import free_port

HEADERS = {"authorization": f"Bearer {KEY}"}
POST = {"text": "Ann is here", "labels": ["PER", "LOC"]}


class Server:
    """Server that runs.

    Attributes:
        port: Port of the gateway.
        url: Address of the gateway.
        process: Process of the gateway.
        pids: Ids of the gateway, the guard and the engine's worker.
    """

    def __init__(self, port: int, process: subprocess.Popen[str]) -> None:
        self.port, self.process = port, process
        self.url = f"http://127.0.0.1:{port}"
        assert process.stdout is not None
        line = process.stdout.readline()
        self.pids: dict[str, int] = json.loads(line) if line else {}
        if self.pids:
            self.pids["engine"] = psutil.Process(self.pids["worker"]).ppid()

    def family(self) -> list[psutil.Process]:
        """Return all processes that belong to it."""
        with suppress(psutil.NoSuchProcess):
            whole = psutil.Process(self.process.pid)
            return [whole, *whole.children(recursive=True)]
        return []

    def memory(self) -> int:
        """Return the private memory of the gateway in bytes, without the engine."""
        return int(psutil.Process(self.process.pid).memory_full_info().uss)

    def processor_seconds(self) -> float:
        """Return the processor time of the gateway, without the engine and the decoders."""
        return float(sum(psutil.Process(self.process.pid).cpu_times()[:2]))

    def post(self, **body: Any) -> httpx.Response:
        """Send a post with the key."""
        return httpx.post(f"{self.url}/v1/entities", json={**POST, **body}, headers=HEADERS, timeout=60)

    def get(self, path: str, seconds: float = 5) -> httpx.Response | None:
        """Return the answer to a GET with the key; ``None`` where there is none in time."""
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}{path}", headers=HEADERS, timeout=seconds)
        return None

    def is_ready(self) -> bool:
        """Return whether ``/readyz`` is green."""
        response = self.get("/readyz")
        return response is not None and response.status_code == 200

    def end(self, seconds: float = 60) -> int:
        """End it by SIGTERM, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


def start(port: int, folder: Path, *flags: str, ignore: tuple[signal.Signals, ...] = ()) -> Server:
    """Start a server.

    Args:
        port: Port of the gateway.
        folder: Folder of the engine's log.
        flags: Flags of ``server``.
        ignore: Signals that it finds ignored, as ``nohup`` leaves SIGHUP.
    """
    log = folder / "engine.log"
    log.unlink(missing_ok=True)
    command = [sys.executable, "-m", "eval.gates.gateway.server", "--port", str(port), "--log", str(log), *flags]

    def before() -> None:
        # This program may itself run under nohup, or in the background of a shell script, which ignores SIGINT.
        for number in (signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        for number in ignore:
            signal.signal(number, signal.SIG_IGN)

    process = subprocess.Popen(  # noqa: S603 (our own program)
        command,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=before,  # noqa: PLW1509 (no threads yet)
    )
    return Server(port, process)


@contextmanager
def running(*flags: str, ignore: tuple[signal.Signals, ...] = ()) -> Iterator[Server]:
    """Run a server on a free port, and kill it at the end."""
    with tempfile.TemporaryDirectory() as folder:
        server = start(free_port(), Path(folder), *flags, ignore=ignore)
        try:
            yield server
        finally:
            if server.process.poll() is None:
                server.end()


def wait_for(what: Callable[[], bool], seconds: float) -> float | None:
    """Wait until something is true, and return how long it took; ``None`` where it did not come true."""
    begin = time.perf_counter()
    while not what():
        if time.perf_counter() - begin > seconds:
            return None
        time.sleep(0.05)
    return round(time.perf_counter() - begin, 2)


def left_of(processes: list[psutil.Process], seconds: float = 20) -> list[str]:
    """Return the processes that are still there after a while."""
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    left = []
    for each in alive:
        with suppress(psutil.NoSuchProcess):
            if each.status() != psutil.STATUS_ZOMBIE:
                left.append(f"{each.pid} {each.cmdline()[:4]}")
    return left


def report(parser: argparse.ArgumentParser, prove: Callable[[argparse.Namespace], dict[str, Any]]) -> None:
    """Run a proof, print its numbers, and end with 1 where it has not passed."""
    parser.add_argument("--output", type=Path, help="file of the numbers")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    value = prove(arguments)
    text = json.dumps(value, indent=1)
    print(text)
    if arguments.output is not None:
        arguments.output.write_text(text + "\n")
    sys.exit(not value["passed"])
