"""Runs a command in a process group of its own, and ends all of it when the one who asked for it is gone.

Started as a file, with the standard library alone: ``python -I process_guard.py COMMAND …``. Its standard input is a
pipe that nobody writes to; when it ends, the parent has let go of it, or has died in whatever way, ``kill -9``
included. A signal to end is passed on. Whatever is left of the group after the grace is killed, this program with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys

GRACE_SECONDS = 10.0
_PR_SET_PDEATHSIG = 1  # Source: linux/prctl.h


def _die_with_parent() -> None:
    """Ask Linux to kill this process when the guard dies; elsewhere the pipe alone must do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main(command: list[str]) -> None:
    """Run the command until it ends or nobody wants it any more, and leaves no process of it."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent)  # noqa: PLW1509, S603
    while child.poll() is None:
        ready, _, _ = select.select([woken, sys.stdin.fileno()], [], [])
        if sys.stdin.fileno() in ready:
            break
        if os.read(woken, 64).strip(bytes([signal.SIGCHLD])):
            break
    child.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(GRACE_SECONDS)
    os.killpg(os.getpgid(0), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
