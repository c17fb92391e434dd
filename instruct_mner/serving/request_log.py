"""Ids of requests, the access log, and one line in the place of a flood; no contents of clients are written."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from instruct_mner.serving.http_models import error_of
from instruct_mner.serving.metrics import route_name
from instruct_mner.vllm_runtime.process_guard import LineFile

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from instruct_mner.serving.metrics import Counters

HEADER = "x-request-id"
ACCESS = f"{__name__}.access"
"""Name of the logger that tells of the access log."""
_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"})
_CLIENT_GONE = 499
_WINDOW_SECONDS = 60.0
_FLOOD = 20
_log = logging.getLogger(__name__)


def request_id(scope: Scope) -> str | None:
    """Return the id of a request that has passed :class:`RequestLog`."""
    value = scope.get("state", {}).get("request_id")
    return value if isinstance(value, str) else None


class RequestLog:
    """ASGI middleware, the outermost: gives ids, counts, and writes the access log.

    Args:
        app: Application behind it.
        counters: Counters of requests.
        write: Function that writes a line of the access log; without it there is none.
        refusals: Summary of refused requests.
    """

    def __init__(
        self, app: ASGIApp, counters: Counters, write: Callable[[str], None] | None, refusals: RefusalSummary
    ) -> None:
        self._app = app
        self._counters = counters
        self._write = write
        self._refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and note what became of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        entry = _Entry(scope, receive, send)
        scope["state"] = {**scope.get("state", {}), "request_id": entry.id}
        try:
            await self._app(scope, entry.receive, entry.send)
        except Exception as error:  # the last one who can answer
            # Not its message: a client may have written it.
            frames = "".join(traceback.format_tb(error.__traceback__))
            _log.error("request %s failed: %s\n%s", entry.id, type(error).__name__, frames)
            if not entry.status:
                body = error_of(500, "the gateway failed; its log says why", entry.id).model_dump()
                await JSONResponse(body, 500)(scope, receive, entry.send)
        finally:
            seconds = time.perf_counter() - entry.begin
            self._counters.note_request(scope["path"], entry.status or _CLIENT_GONE, seconds)
            self._refusals.note(entry.status)
            if self._write is not None:
                self._write(json.dumps(entry.line(seconds)))


class _Entry:
    """Notes about a request while it is answered."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self.begin = time.perf_counter()
        self.status = self._num_received = self._num_sent = 0
        given = next((value for name, value in scope["headers"] if name.lower() == HEADER.encode()), b"")
        self.id = given.decode() if _ID.fullmatch(given) else uuid.uuid4().hex

    async def receive(self) -> Message:
        message = await self._receive()
        self._num_received += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), (HEADER.encode(), self.id.encode())]}
        self._num_sent += len(message.get("body", b""))
        await self._send(message)

    def line(self, seconds: float) -> dict[str, str | int | float | None]:
        """Return the line of the access log."""
        method, client = self._scope["method"], self._scope.get("client")
        return {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "id": self.id,
            "client": self._scope["state"].get("client"),
            "address": client[0] if client else None,
            "method": method if method in _METHODS else "other",
            "path": route_name(self._scope["path"]),
            "status": self.status or _CLIENT_GONE,
            "seconds": round(seconds, 4),
            "bytes_received": self._num_received,
            "bytes_sent": self._num_sent,
        }


class RefusalSummary:
    """Numbers of refused requests: one line a minute, where they are many.

    Args:
        window_seconds: Time that a line is about.
    """

    def __init__(self, window_seconds: float = _WINDOW_SECONDS) -> None:
        self._window_seconds = window_seconds
        self._by_status: Counter[int] = Counter()

    def note(self, status: int) -> None:
        """Count an answer, if it is a refusal."""
        if not 400 <= status < 500:
            return
        if not self._by_status:
            asyncio.get_running_loop().call_later(self._window_seconds, self._say)
        self._by_status[status] += 1

    def _say(self) -> None:
        counts, self._by_status = self._by_status, Counter()
        if counts.total() >= _FLOOD:
            parts = ", ".join(f"{count} with {status}" for status, count in sorted(counts.items()))
            _log.warning("%d requests were refused in %g seconds: %s", counts.total(), self._window_seconds, parts)


class FloodFilter(logging.Filter):
    """Filter of a log that lets each kind of message pass once a minute, with the number of those that it held back.

    Args:
        clock: Clock in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._passed: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell that a message is written."""
        then, held = self._passed.get(str(record.msg), (float("-inf"), 0))
        if self._clock() - then < _WINDOW_SECONDS:
            self._passed[str(record.msg)] = (then, held + 1)
            return False
        self._passed[str(record.msg)] = (self._clock(), 0)
        if held:
            record.msg, record.args = f"{record.getMessage()} ({held} more like it were not written)", ()
        return True


@contextmanager
def held_back(*loggers: str) -> Iterator[None]:
    """Let each kind of message of some loggers pass once a minute within the block.

    Args:
        loggers: Names of the loggers.
    """
    filters = {logging.getLogger(name): FloodFilter() for name in loggers}
    for logger, flood in filters.items():
        logger.addFilter(flood)
    try:
        yield
    finally:
        for logger, flood in filters.items():
            logger.removeFilter(flood)


def access_log(file: Path) -> Callable[[str], None]:
    """Return a function that appends a line to a file, which may be moved away at any time.

    A line that cannot be written is dropped, counted and told of in the log: it is no matter of the client.

    Raises:
        OSError: The file cannot be opened.
    """
    lines = LineFile(str(file), logging.getLogger(ACCESS).warning)
    lines.open()

    def write(line: str) -> None:
        lines.append(f"{line}\n".encode())

    return write
