"""Processes that do jobs for the gateway: a few at once, each with a deadline, replaced when they die."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from instruct_mner.serving.limits import BusyError, RefusedError
from instruct_mner.serving.worker import HEAD, Result

_MODULE = "instruct_mner.serving.worker"
# Not the keys of the server: these processes read what strangers have made.
_ENVIRONMENT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "LANG", "HOME")


class WorkerPool:
    """Worker processes; each starts when it is first needed.

    Args:
        count: Processes at most.
        memory_bytes: Address space of each.
        cpu_seconds: Processor time of a job.
        wall_seconds: Time of a job, which is longer where the machine is busy.
        most_waiting: Jobs that may wait for a process; further ones are refused with :class:`BusyError`.
    """

    def __init__(
        self,
        count: int,
        *,
        memory_bytes: int,
        cpu_seconds: float = 4.0,
        wall_seconds: float = 20.0,
        most_waiting: int = 128,
    ) -> None:
        self._slots = asyncio.Semaphore(count)
        self._arguments = [str(memory_bytes), str(cpu_seconds)]
        self._wall_seconds = wall_seconds
        self._most_waiting = most_waiting
        self._waiting = 0
        self._idle: list[asyncio.subprocess.Process] = []

    async def run(self, job: dict[str, Any], payload: bytes) -> Result:
        """Do a job, and return its reply.

        Raises:
            RefusedError: The job cannot be done, takes too long, or ends its process.
            BusyError: Too many jobs wait.
        """
        if self._waiting >= self._most_waiting:
            raise BusyError("too many pictures and grammars wait to be checked; try again")
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            head, content = await self._run(job, payload)
        finally:
            self._slots.release()
        if "refused" in head:
            raise RefusedError(422, head["refused"])
        return head, content

    async def _run(self, job: dict[str, Any], payload: bytes) -> Result:
        process = await self._take_idle() or await self._start()
        try:
            async with asyncio.timeout(self._wall_seconds):
                result = await _exchange(process, job, payload)
        except TimeoutError:
            raise RefusedError(422, f"it takes longer than {self._wall_seconds:g} seconds to check") from None
        except (asyncio.IncompleteReadError, ConnectionError):
            raise RefusedError(422, "it takes more time or memory than is allowed to check") from None
        else:
            self._idle.append(process)
            return result
        finally:
            # Also where the client has gone: a reply that nobody reads would be that to the next job.
            if process not in self._idle:
                await _end(process)

    async def _take_idle(self) -> asyncio.subprocess.Process | None:
        """Return a process that has nothing to do; those that were killed meanwhile are put away."""
        while self._idle:
            process = self._idle.pop()
            if process.returncode is None and not _is_closed(process):
                return process
            await _end(process)
        return None

    async def _start(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", _MODULE, *self._arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            # Ctrl-C is for the server, which ends them.
            start_new_session=True,
        )

    async def close(self) -> None:
        """End the processes that have nothing to do."""
        while self._idle:
            await _end(self._idle.pop())


async def _exchange(process: asyncio.subprocess.Process, job: dict[str, Any], payload: bytes) -> Result:
    assert process.stdin is not None
    assert process.stdout is not None
    # uvloop, other than asyncio, raises RuntimeError where something is written to what is closed.
    if _is_closed(process):
        raise ConnectionResetError
    header = json.dumps(job).encode()
    process.stdin.write(HEAD.pack(len(header), len(payload)) + header)
    process.stdin.write(payload)
    await process.stdin.drain()
    head_size, content_size = HEAD.unpack(await process.stdout.readexactly(HEAD.size))
    head = json.loads(await process.stdout.readexactly(head_size))
    return head, await process.stdout.readexactly(content_size)


def _is_closed(process: asyncio.subprocess.Process) -> bool:
    return process.stdin is None or process.stdin.is_closing()


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()
