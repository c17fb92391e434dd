"""vLLM's process: whatever becomes of those around it, none of it is left. What is run is a stand-in."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from instruct_mner.errors import ServingError
from instruct_mner.vllm_runtime.process import VllmProcess, describe_status

# Starts a child that will not be ended by a signal, writes down both, and waits; as vLLM with its engine.
_DEAF = """
import signal, time
for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(each, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""
STUBBORN = f"""
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {_DEAF!r}], stdout=subprocess.PIPE)
child.stdout.readline()
with open(sys.argv[1] + ".new", "w") as file:
    file.write(str(os.getpid()) + " " + str(child.pid))
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(600)
"""
_PARENT = """
import sys, time
from instruct_mner.vllm_runtime.process import VllmProcess, describe_status
import os
with VllmProcess(sys.argv[1:], "", os.environ) as process:
    print(process._process.pid, flush=True)
    time.sleep(600)
"""


def pids_in(path: Path) -> list[int]:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, "the stand-in did not start"
        time.sleep(0.02)
    return [int(each) for each in path.read_text().split()]


def wait_until_gone(pids: list[int], seconds: float = 60) -> None:
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=seconds)
    assert not [each for each in alive if each.status() != psutil.STATUS_ZOMBIE]


def stubborn(path: Path) -> list[str]:
    return [sys.executable, "-c", STUBBORN, str(path)]


def test_leaving_ends_it_and_its_children(tmp_path: Path) -> None:
    with VllmProcess(stubborn(tmp_path / "pids"), "", os.environ) as process:
        pids = pids_in(tmp_path / "pids")
        assert process.is_running
    assert not process.is_running
    assert not process.log.exists()
    wait_until_gone(pids)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_when_the_parent_is_killed_nothing_is_left(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", _PARENT, *stubborn(tmp_path / "pids")]
    # Who is killed cannot remove its log.
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        guard = int(parent.stdout.readline())
        pids = pids_in(tmp_path / "pids")
        parent.send_signal(number)
        parent.wait()
    wait_until_gone([guard, *pids])


def test_when_the_guard_is_killed_nothing_is_left(tmp_path: Path) -> None:
    with VllmProcess(stubborn(tmp_path / "pids"), "", os.environ) as process:
        assert process._process is not None
        pids = pids_in(tmp_path / "pids")
        process._process.kill()
        with pytest.raises(ServingError, match="did not start"):
            process.wait_until_ready(lambda: False, lambda phase: None)
    wait_until_gone(pids)


def test_the_end_of_the_log_tells_why_it_did_not_start() -> None:
    said = "INFO 11-21 03:36:51 [core.py:15] Loading weights took 3 s"
    command = [sys.executable, "-c", f"print({said!r}); raise ValueError('no such thing as a model')"]
    shown: list[str] = []
    process = VllmProcess(command, "", os.environ)
    with pytest.raises(ServingError, match="no such thing as a model") as caught, process:
        while process.is_running:
            time.sleep(0.02)
        shown.append(process._phase())
        process.wait_until_ready(lambda: False, shown.append)
    assert process.log.exists(), "kept, to be read"
    assert str(process.log) in str(caught.value)
    process.log.unlink()
    assert shown == ["Loading weights took 3 s"]


@pytest.mark.parametrize(
    ("code", "words", "exit_code"),
    [
        ("raise SystemExit(3)", "vLLM ended with exit code 3", 1),
        ("import os; os.kill(os.getpid(), 9)", r"vLLM was ended by SIGKILL \(signal 9: was the memory short\?\)", 137),
        ("import os; os.abort()", r"vLLM was ended by SIGABRT \(signal 6\)", 134),
    ],
)
def test_how_it_ended(code: str, words: str, exit_code: int, tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    with VllmProcess(
        [sys.executable, "-c", f"print('last words', flush=True); {code}"], "", os.environ, log
    ) as process:
        wait_for_end(process)
        error = process.ended()
        assert re.match(words, str(error)), str(error)
        assert "  last words" in str(error)
        assert error.exit_code == exit_code
        # Once more, in the same log.
        process.start()
        wait_for_end(process)
    assert log.read_text() == "last words\n" * 2


def test_a_log_without_an_end_is_not_read() -> None:
    process = VllmProcess([], "", os.environ, Path("/dev/zero"))
    limit = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + 2**28, limit[1]))
    try:
        assert process._tail() == []
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limit)


def wait_for_end(process: VllmProcess) -> None:
    assert process._process is not None
    process._process.wait(60)


def test_statuses_in_words() -> None:
    assert describe_status(-63) == "was ended by a signal (signal 63)"
    assert "guard" in describe_status(None)
