"""The guard by itself, with commands of a line in the place of vLLM."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from instruct_mner.vllm_runtime import process_guard

# Says that it runs, and writes down the signal that ends it.
POLITE = """
import signal, sys
def end(number, frame):
    with open(sys.argv[1], "w") as file:
        file.write(signal.Signals(number).name)
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("runs", flush=True)
signal.pause()
"""


def guard(*command: str) -> subprocess.Popen[str]:
    """Start it as ``VllmProcess`` does: as a file, in a session of its own, with a pipe that nobody writes to."""
    return subprocess.Popen(
        [sys.executable, "-I", process_guard.__file__, sys.executable, "-c", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_it_ends_when_the_command_ends_and_says_nothing_of_its_own() -> None:
    with guard("print('hello'); raise SystemExit(3)") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        # Its own input stays open: only the end of the command ends it.
        output, errors = process.stdout.read(), process.stderr.read()
        process.wait(timeout=120)
    # The last thing that it does is to kill its own group.
    assert (output, errors, process.returncode) == ("hello\n", "", -signal.SIGKILL)


@pytest.mark.parametrize("how", ["pipe", "signal"])
def test_the_command_is_asked_to_end_when_nobody_wants_it_any_more(how: str, tmp_path: Path) -> None:
    with guard(POLITE, str(tmp_path / "ended")) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "runs\n"
        [command] = psutil.Process(process.pid).children()
        if how == "pipe":
            process.stdin.close()
        else:
            process.send_signal(signal.SIGTERM)
        process.wait(timeout=120)
    assert (tmp_path / "ended").read_text() == "SIGTERM"
    assert not command.is_running() or command.status() == psutil.STATUS_ZOMBIE


def test_the_end_of_another_child_does_not_end_it(tmp_path: Path) -> None:
    """A signal of a child that is not the command's own end wakes the guard, which goes on."""
    with guard(POLITE, str(tmp_path / "ended")) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGCHLD)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.2)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=120)
    assert (tmp_path / "ended").read_text() == "SIGTERM"
