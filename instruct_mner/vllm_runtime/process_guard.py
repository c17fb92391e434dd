"""Runs a command in a process group of its own, and ends all of it when the one who asked for it is gone.

Started as a file, with the standard library alone: ``python -I process_guard.py [--log FILE] COMMAND …``. Its standard
input is a pipe or a socket that nobody writes to; when it ends, the parent has let go of it, or has died in whatever
way, ``kill -9`` included. A signal to end is passed on. Whatever is left of the group after the grace is killed, this
program with it. Before that, the exit status of the command is written to standard input, where that is a socket.

With ``--log`` the output of the command goes into a file, which is renamed to ``FILE.1`` when it is large. What clients
have sent and vLLM may write there (grammars hold posts) is left out. Lines that cannot be written end nothing; standard
error is told.
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
from collections.abc import Callable

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


class LineFile:
    """File to which lines are appended, and which may be moved away at any time.

    Where they cannot be written (a full disk, a folder that is gone), they are dropped and counted: nobody who has them
    written fails or waits.

    Args:
        path: Path of the file.
        say: Function that is told, as loggers are, that lines are dropped, and that they are written again.
    """

    def __init__(self, path: str, say: Callable[..., object]) -> None:
        self._path, self._say = path, say
        self._file: int | None = None
        self._num_dropped, self._fails, self._grows = 0, False, False

    def open(self) -> None:
        """Open the file, unless it is open and still at its place.

        Raises:
            OSError: It cannot be opened.
        """
        if self._file is not None:
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.stat(self._path), os.fstat(self._file)):  # noqa: PTH116
                    return
            os.close(self._file)
            self._file = None
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def append(self, lines: bytes) -> None:
        """Append lines, all of them or none."""
        if not lines:
            return
        try:
            self.open()
            self._write(lines)
        except OSError as error:
            if not self._fails:
                self._say(
                    "%s cannot be written (%s): its lines are dropped until it can be", self._path, error.strerror
                )
            self._num_dropped += lines.count(b"\n")
            self._fails = True
            return
        if self._fails:
            self._say("%s is written again; it lacks %d lines so far", self._path, self._num_dropped)
            self._fails = False

    def _write(self, lines: bytes) -> None:
        assert self._file is not None
        size, left = os.fstat(self._file).st_size, lines
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError:
            with contextlib.suppress(OSError):  # a pipe
                if left != lines:
                    os.ftruncate(self._file, size)  # half a line
            raise

    def rename(self, most_bytes: int) -> None:
        """Rename the file to ``FILE.1`` where it is larger; where that cannot be, it grows, which is said once."""
        older = f"{self._path}.1"
        try:
            if self._file is not None and os.fstat(self._file).st_size > most_bytes:
                os.replace(self._path, older)  # noqa: PTH105
        except OSError as error:
            if not self._grows:
                self._say("%s cannot be renamed to %s (%s): it grows", self._path, older, error.strerror)
            self._grows = True


class Log:
    """Log file that is renamed when it is large.

    Args:
        path: Path of the file.
        most_bytes: Size at which it is renamed.
    """

    def __init__(self, path: str, most_bytes: int = MOST_BYTES) -> None:
        self._file, self._most_bytes = LineFile(path, _warn), most_bytes
        self._rest = b""

    def write(self, data: bytes) -> None:
        """Write output; of the last line, what has come of it waits for its end."""
        *lines, self._rest = (self._rest + data).splitlines(keepends=True) or [b""]
        if self._rest.endswith(b"\n") or len(self._rest) > _MOST_LINE_BYTES:
            lines, self._rest = [*lines, self._rest], b""
        self._file.append(b"".join(map(without_contents, lines)))
        self._file.rename(self._most_bytes)

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


def _warn(message: str, *values: object) -> None:
    """Tell those who started the guard."""
    with contextlib.suppress(OSError):
        print("warning:", message % values, file=sys.stderr, flush=True)


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
