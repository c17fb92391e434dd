"""Runs a command in a process group of its own, and ends all of it when the one who asked for it is gone.

Started as a file, with the standard library alone: ``python -I process_guard.py [--log FILE] COMMAND …``. Its standard
input is a pipe or a socket that nobody writes to; when it ends, the parent has let go of it, or has died in whatever
way, ``kill -9`` included. A signal to end is passed on. Whatever is left of the group after the grace is killed, this
program with it. Before that, the exit status of the command is written to standard input, where that is a socket.

With ``--log`` the output of the command goes into a file, which is renamed to ``FILE.1`` when it is large. What clients
have sent and vLLM may write there (grammars hold posts) is left out.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import select
import signal
import subprocess
import sys
import time

GRACE_SECONDS = 10.0
MOST_BYTES = 10 * 2**20
_MOST_LINE_BYTES = 4000
_PR_SET_PDEATHSIG = 1  # Source: linux/prctl.h
# Source: vLLM 0.32, NewRequestData.anon_repr and backend_guidance.py; pydantic's errors.
_CONTENTS = re.compile(
    rb"sampling_params=|structured_outputs=|grammar=|prompt=|prompt_token_ids=|messages=|input_value="
    rb"|\[backend_guidance\.py:\d+\] "
)


def without_contents(line: bytes) -> bytes:
    """Return a line of the log without what clients may have sent."""
    match = _CONTENTS.search(line)
    if match is not None:
        line = line[: match.end()] + b"[left out]\n"
    return line if len(line) <= _MOST_LINE_BYTES else line[:_MOST_LINE_BYTES] + b" [cut]\n"


class Log:
    """Log file that is renamed when it is large.

    Args:
        path: Path of the file.
        most_bytes: Size at which it is renamed.
    """

    def __init__(self, path: str, most_bytes: int = MOST_BYTES) -> None:
        self._path, self._most_bytes = path, most_bytes
        self._file = open(path, "ab")  # noqa: PTH123, SIM115 (kept open)
        self._rest = b""

    def write(self, data: bytes) -> None:
        """Write output; of the last line, what has come of it waits for its end."""
        *lines, self._rest = (self._rest + data).splitlines(keepends=True) or [b""]
        if self._rest.endswith(b"\n") or len(self._rest) > _MOST_LINE_BYTES:
            lines, self._rest = [*lines, self._rest], b""
        self._file.writelines(map(without_contents, lines))
        self._file.flush()
        if self._file.tell() > self._most_bytes:
            self._file.close()
            os.replace(self._path, f"{self._path}.1")  # noqa: PTH105
            self._file = open(self._path, "ab")  # noqa: PTH123, SIM115 (kept open)

    def copy(self, source: int) -> bool:
        """Write what has come; tell whether there may be more."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(source, 65536):
                self.write(data)
            return False
        return True

    def end(self) -> None:
        """Write the last line, whole or not."""
        if self._rest:
            self.write(b"\n")


class _Command:
    """Command that runs, and the sources that wake the guard."""

    def __init__(self, command: list[str], log: Log | None, woken: int) -> None:
        self._log, self._woken = log, woken
        self.child = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=None if log is None else subprocess.PIPE,
            stderr=None if log is None else subprocess.STDOUT,
            preexec_fn=_die_with_parent,  # noqa: PLW1509
        )
        self._output = -1 if self.child.stdout is None else self.child.stdout.fileno()
        if log is not None:
            os.set_blocking(self._output, False)

    def wait(self, seconds: float | None = None) -> None:
        """Wait for its end; without a time, also for a signal to end, or for the end of standard input."""
        end = None if seconds is None else time.monotonic() + seconds
        while self.child.poll() is None:
            sources = [self._woken, *([sys.stdin.fileno()] if end is None else []), self._output]
            left = None if end is None else max(0.0, end - time.monotonic())
            ready, _, _ = select.select([each for each in sources if each >= 0], [], [], left)
            if self._output in ready:
                self.copy()
            signals = os.read(self._woken, 64) if self._woken in ready else b""
            if end is None and (sys.stdin.fileno() in ready or signals.strip(bytes([signal.SIGCHLD]))):
                return
            if end is not None and time.monotonic() >= end:
                return

    def copy(self) -> None:
        """Copy its output into the log."""
        if self._log is not None and self._output >= 0 and not self._log.copy(self._output):
            self._output = -1


def _die_with_parent() -> None:
    """Ask Linux to kill this process when the guard dies; elsewhere the pipe alone must do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main(arguments: list[str]) -> None:
    """Run the command until it ends or nobody wants it any more, and leave no process of it."""
    log, command = (Log(arguments[1]), arguments[2:]) if arguments[0] == "--log" else (None, arguments)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    running = _Command(command, log, woken)
    running.wait()
    running.child.terminate()
    running.wait(GRACE_SECONDS)
    running.copy()
    if log is not None:
        log.end()
    with contextlib.suppress(OSError):  # a pipe, or nobody at the other end
        os.write(sys.stdin.fileno(), str(running.child.returncode).encode())
    os.killpg(os.getpgid(0), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
