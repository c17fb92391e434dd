"""Verbs of the command line as processes of their own, which end with the experiment, however that ends."""

from __future__ import annotations

import contextlib
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from instruct_mner.errors import ConfigError
from instruct_mner.experiment.launcher import launch_arguments, launch_environment
from instruct_mner.files import exclusive
from instruct_mner.vllm_runtime import process_guard
from instruct_mner.vllm_runtime.process import describe_status

_GUARD = Path(process_guard.__file__)
_POLL_SECONDS = 0.2


def call(verb: str, *arguments: object, num_processes: int = 1) -> None:
    """Run a verb to its end; its progress goes to standard error.

    Args:
        verb: Name of the verb.
        *arguments: Arguments of the verb.
        num_processes: Number of processes, by ``accelerate launch`` where there are several.

    Raises:
        ConfigError: It failed; its own message stands on standard error.
    """
    command = [sys.executable, *launch_arguments(num_processes), "instruct_mner", verb, *map(str, arguments)]
    status = _guarded(command, launch_environment(num_processes))
    if status:
        words = shlex.join(["instruct-mner", verb, *map(str, arguments)])
        raise ConfigError(
            f"{words}: {describe_status(status)}, its message stands above; mend that and run the same command again: "
            "what is complete is kept"
        )


def _guarded(command: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """Return the exit status of a command, negative for a signal.

    The guard ends it, with all of its processes, when this process is gone, ``kill -9`` included.
    """
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            guard = subprocess.Popen(  # noqa: S603 (our own program; no shell)
                [sys.executable, "-I", str(_GUARD), *command],
                stdin=theirs.fileno(),
                stdout=sys.stderr.fileno(),
                start_new_session=True,
                env=environment,
            )
        try:
            guard.wait()
        except BaseException:
            with contextlib.suppress(OSError):  # the guard is gone
                ours.shutdown(socket.SHUT_WR)
            guard.wait()
            raise
        try:
            return int(ours.recv(16))
        except (OSError, ValueError):
            return 1


def wait_for_lock(path: Path) -> None:
    """Wait until a process of an experiment that was killed has let go of an output.

    Args:
        path: File or folder that is to be written.

    Raises:
        ConfigError: Another run still writes to it after the time that a guard gives its command.
    """
    end = time.monotonic() + process_guard.GRACE_SECONDS + 5
    while True:
        try:
            with exclusive(path):
                return
        except ConfigError:
            if time.monotonic() > end:
                raise
            time.sleep(_POLL_SECONDS)
