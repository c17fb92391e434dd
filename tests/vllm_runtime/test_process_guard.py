"""The guard by itself, with commands of a line in the place of vLLM."""

from __future__ import annotations

import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from instruct_mner.vllm_runtime import process_guard
from instruct_mner.vllm_runtime.process_guard import LineFile, Log

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


def test_the_log_is_renamed_where_it_is_large(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "log"), most_bytes=100)
    for number in range(30):
        log.write(f"line {number:02}\nand".encode())
        log.write(b" more\n")
    log.write(b"half")
    log.end()
    older, newer = ((tmp_path / name).read_text().splitlines() for name in ("log.1", "log"))
    assert newer[-1] == "half"
    both = [*older, *newer]
    lines = [line for number in range(30) for line in (f"line {number:02}", "and more")]
    assert both[:-1] == lines[len(lines) - len(both) + 1 :]
    assert (tmp_path / "log.1").stat().st_size < 130


@pytest.mark.parametrize(
    "line",
    [
        "(EngineCore pid=7) ERROR 11-28 [dump_input.py:85] Dumping scheduler output: NewRequestData("
        "req_id=a,prompt_token_ids_len=9,sampling_params=SamplingParams(grammar='SECRET')",
        "WARNING 11-28 07:00:00 [backend_guidance.py:231] LLMatcher error: token SECRET",
        "WARNING 11-28 07:00:00 [backend_guidance.py:231] SECRET in its second line",
        "  Input should be a valid list [type=list_type, input_value='SECRET', input_type=str]",
        "x" * 5_000 + "SECRET",
    ],
)
def test_the_log_holds_no_contents(line: str) -> None:
    written = process_guard.without_contents(line.encode() + b"\n")
    assert b"SECRET" not in written
    assert written.endswith((b"[left out]\n", b"[cut]\n"))
    assert process_guard.without_contents(b"INFO 11-28 Starting\n") == b"INFO 11-28 Starting\n"


def test_output_of_the_last_moment_is_in_the_log(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    code = "import sys; sys.stdout.write('x' * 200_000 + chr(10) + 'end'); sys.stdout.flush(); raise SystemExit(7)"
    command = [sys.executable, "-I", process_guard.__file__, "--log", str(tmp_path / "log"), sys.executable, "-c", code]
    with ours, subprocess.Popen(command, stdin=theirs.fileno(), start_new_session=True) as process:
        theirs.close()
        assert process.wait(timeout=120) == -signal.SIGKILL
        assert ours.recv(16) == b"7"
    assert (tmp_path / "log").read_text().endswith("end\n")


def test_a_log_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    """A full disk, with the guard as it is started, and what it says of it."""
    command = [sys.executable, "-I", process_guard.__file__, "--log", "/dev/full", sys.executable, "-c"]
    code = "import sys; print('one', flush=True); print('two', flush=True); raise SystemExit(7)"
    ours, theirs = socket.socketpair()
    with (
        ours,
        subprocess.Popen(
            [*command, code], stdin=theirs.fileno(), stderr=subprocess.PIPE, text=True, start_new_session=True
        ) as process,
    ):
        theirs.close()
        _, said = process.communicate(timeout=120)
        assert ours.recv(16) == b"7"
    assert said == (
        "warning: /dev/full cannot be written (No space left on device): its lines are dropped until it can be\n"
    )


def test_lines_that_cannot_be_written_are_counted_and_leave_no_half_line(tmp_path: Path) -> None:
    """A file that may not grow over a size is as a disk that is full."""
    folder = tmp_path / "logs"
    folder.mkdir()
    path, said = folder / "log", list[str]()
    file = LineFile(str(path), lambda message, *values: said.append(message % values))
    file.append(b"first\n")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limit[1]))
    try:
        file.append(b"too long for it\nand one more\n")
        file.append(b"too long as well\n")
        assert path.read_bytes() == b"first\n"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, former)
    file.append(b"second\n")
    assert path.read_bytes() == b"first\nsecond\n"
    folder.rename(tmp_path / "moved")
    file.append(b"third\n")
    folder.mkdir()
    file.append(b"fourth\n")
    assert path.read_bytes() == b"fourth\n"
    dropped = "its lines are dropped until it can be"
    assert said == [
        f"{path} cannot be written (File too large): {dropped}",
        f"{path} is written again; it lacks 3 lines so far",
        f"{path} cannot be written (No such file or directory): {dropped}",
        f"{path} is written again; it lacks 4 lines so far",
    ]


def test_a_log_that_cannot_be_renamed_grows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "log.1").mkdir()
    log = Log(str(tmp_path / "log"), most_bytes=20)
    for _ in range(9):
        log.write(b"a line of it\n")
    assert (tmp_path / "log").read_text() == "a line of it\n" * 9
    [said] = capsys.readouterr().err.splitlines()
    assert "log.1 (Is a directory): it grows" in said
