"""vLLM as a process: started, watched while it loads, and ended with all that it started."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from instruct_mner.errors import EngineEndedError, ServingError

_GUARD = Path(__file__).with_name("process_guard.py")
_TAIL_LINES = 25
_POLL_SECONDS = 0.25
# "(EngineCore pid=12) INFO 11-21 02:37:45 [loader.py:42] Loading weights …"
_LOG_LINE = re.compile(r"(?:\(.*?\) )?INFO [\d:. -]+\[[^\]]*\] (?P<said>.+)")


class VllmProcess:
    """A vLLM on a private port of this machine; leaving the context ends it and all of its children.

    They end as well when this process is killed: see ``process_guard.py``.

    Args:
        command: Command that starts it, with its port.
        url: Address at which it answers.
        environment: Environment of the process.
        log: File of its log, which is kept; without it a temporary one, which is kept after a failure alone.
    """

    def __init__(
        self, command: Sequence[str], url: str, environment: Mapping[str, str], log: Path | None = None
    ) -> None:
        self._command = list(command)
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: socket.socket | None = None
        self._status: int | None = None
        # A signal may end it from another thread than the one that starts it again.
        self._lock = threading.RLock()
        self._keeps_log = log is not None
        self.url = url
        if log is None:
            handle, name = tempfile.mkstemp(prefix="instruct-mner-vllm-", suffix=".log")
            os.close(handle)
            log = Path(name)
        self.log = log

    def __enter__(self) -> Self:
        self.start()
        return self

    def start(self) -> None:
        """Start it, also once more after its end."""
        command = [sys.executable, "-I", str(_GUARD), "--log", str(self.log), *self._command]
        with self._lock:
            self.stop()
            self._guard, theirs = socket.socketpair()
            self._status = None
            self._process = _started(command, theirs, self._environment)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if not self._keeps_log and (error is None or isinstance(error, KeyboardInterrupt | SystemExit)):
            for log in (self.log, older_log(self.log)):
                log.unlink(missing_ok=True)

    @property
    def is_running(self) -> bool:
        """Return whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End it: as it likes to be ended, and by force after some seconds."""
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        process = self._process
        if process is None:
            return
        if self._guard is not None:
            with contextlib.suppress(OSError):  # the guard is gone
                self._guard.shutdown(socket.SHUT_WR)
        process.wait()
        self._read_status()
        # The guard has killed the group, unless it was killed itself.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def wait_until_ready(self, is_ready: Callable[[], bool], show: Callable[[str], None]) -> None:
        """Wait until it answers.

        Args:
            is_ready: Function that tells whether it answers.
            show: Is told what it does, again and again.

        Raises:
            ServingError: It ends instead; the message holds the end of its log.
        """
        begin = time.monotonic()
        while not is_ready():
            if not self.is_running:
                raise self.failure("did not start")
            show(f"{self._phase()} ({time.monotonic() - begin:.0f} s)")
            time.sleep(_POLL_SECONDS)

    def failure(self, what: str) -> ServingError:
        """Return the error that it did not start, with the end of its log."""
        return ServingError(f"vLLM {what}; {self._end_of_log()}")

    def ended(self) -> EngineEndedError:
        """Return the error that it has ended: how, and the end of its log."""
        status = self.exit_status
        if status is not None and status < 0:
            return EngineEndedError(f"vLLM {describe_status(status)}; {self._end_of_log()}", -status)
        return EngineEndedError(f"vLLM {describe_status(status)}; {self._end_of_log()}")

    @property
    def exit_status(self) -> int | None:
        """Exit status of vLLM, negative for a signal; ``None`` while it runs, and where nobody was left to say it."""
        self._read_status()
        return self._status

    def _read_status(self) -> None:
        """Read what the guard says at its end."""
        if self._guard is None or self.is_running:
            return
        with contextlib.suppress(OSError, ValueError):
            self._status = int(self._guard.recv(16))
        self._guard.close()
        self._guard = None

    def _end_of_log(self) -> str:
        lines = self._tail()
        # The last exception says most; the lines after it are how the parts of vLLM told each other.
        return (
            f"the end of its log ({self.log}):\n"
            + "\n".join(f"  {line[:300]}" for line in lines[-_TAIL_LINES:])
            + "\nmend what it says there; its own flags can be given with --vllm"
        )

    def _tail(self, num_bytes: int = 65536) -> list[str]:
        content = b""
        for path in (older_log(self.log), self.log):
            with contextlib.suppress(OSError):
                content += _end_of(path, num_bytes)
        return content[-num_bytes:].decode(errors="replace").splitlines()

    def _phase(self) -> str:
        """Return the last lines of its log."""
        for line in reversed(self._tail(4096)):
            match = _LOG_LINE.match(line)
            # The list of its routes, a line each, says nothing about how far it is.
            if match is not None and not match["said"].startswith("Route:"):
                return match["said"][:80]
        return "starting Python"


def _started(
    command: Sequence[str], its_input: socket.socket, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    with its_input:
        return subprocess.Popen(  # noqa: S603 (our own program; no shell)
            command,
            stdin=its_input.fileno(),
            stdout=subprocess.DEVNULL,  # standard error is ours: the guard says there what becomes of the log
            env=environment,
            start_new_session=True,
        )


def describe_status(status: int | None) -> str:
    """Return how a process ended, in words.

    Args:
        status: Exit status, negative for a signal; ``None`` where it is not known.
    """
    if status is None:
        return "ended, and its guard with it (kill -9?)"
    if status < 0:
        name = signal.Signals(-status).name if -status in set(signal.Signals) else "a signal"
        hint = ": was the memory short?" if -status == signal.SIGKILL else ""
        return f"was ended by {name} (signal {-status}{hint})"
    return f"ended with exit code {status}"


def _end_of(path: Path, num_bytes: int) -> bytes:
    """Return the last bytes of a file; none of a device or a pipe, which may have no end."""
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - num_bytes))
        return file.read(num_bytes)


def older_log(log: Path) -> Path:
    """Return the file that a large log of vLLM is renamed to."""
    return log.with_name(f"{log.name}.1")


def free_port() -> int:
    """Return a free port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
