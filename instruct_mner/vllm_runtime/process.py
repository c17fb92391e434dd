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
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from instruct_mner.errors import ServingError

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
    """

    def __init__(self, command: Sequence[str], url: str, environment: Mapping[str, str]) -> None:
        self._command = list(command)
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self.url = url
        # Kept after a failure, to be read; removed after a good end.
        handle, name = tempfile.mkstemp(prefix="instruct-mner-vllm-", suffix=".log")
        os.close(handle)
        self.log = Path(name)

    def __enter__(self) -> Self:
        command = [sys.executable, "-I", str(_GUARD), *self._command]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 (our own program; no shell)
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if error is None or isinstance(error, KeyboardInterrupt | SystemExit):
            self.log.unlink(missing_ok=True)

    @property
    def is_running(self) -> bool:
        """Return whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End it: as it likes to be ended, and by force after some seconds."""
        process = self._process
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
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
        """Return the error that it did not start, or ended, with the end of its log."""
        lines = self._tail()
        # The last exception says most; the lines after it are how the parts of vLLM told each other.
        return ServingError(
            f"vLLM {what}; the end of its log ({self.log}):\n"
            + "\n".join(f"  {line[:300]}" for line in lines[-_TAIL_LINES:])
            + "\nmend what it says there; its own flags can be given with --vllm"
        )

    def _tail(self, num_bytes: int = 65536) -> list[str]:
        with self.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - num_bytes))
            return log.read().decode(errors="replace").splitlines()

    def _phase(self) -> str:
        """Return the last lines of its log."""
        for line in reversed(self._tail(4096)):
            match = _LOG_LINE.match(line)
            if match is not None:
                return match["said"][:80]
        return "starting Python"


def free_port() -> int:
    """Return a free port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
