"""The door of the gateway: the key, the size of a body, and the counts, before anything is read or parsed."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from instruct_mner.serving.limits import Limits

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from instruct_mner.serving.metrics import Counters

OPEN_PATHS = frozenset({"/health", "/openapi.json", "/docs"})
"""What is told to those without a key."""

_PATIENCE_SECONDS = 10


def error_body(status: int, message: str) -> dict[str, Any]:
    """Return an error as OpenAI's API writes it."""
    kind = {401: "AuthenticationError", 404: "NotFoundError", 413: "RequestTooLargeError"}.get(status)
    return {
        "error": {
            # What a client sent may stand in it, halves of characters included.
            "message": message.encode(errors="backslashreplace").decode(),
            "type": kind or ("BadRequestError" if status < 500 else "ServerError"),
            "param": None,
            "code": status,
        }
    }


class Admission:
    """ASGI middleware: refuses a wrong key and a large body at once, and counts what is answered.

    Args:
        app: The gateway.
        key: Key that clients must send as ``Authorization: Bearer``; ``None`` = no key is needed.
        limits: Limits of the size of a body, and of the requests at once.
        counters: Counters of requests.
    """

    def __init__(self, app: ASGIApp, key: str | None, limits: Limits, counters: Counters) -> None:
        self._app = app
        self._digest = None if key is None else _digest(key)
        self._limits = limits
        self._counters = counters
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on with its body read."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, statuses = time.perf_counter(), [500]

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses[0] = message["status"]
            await send(message)

        self._under_way += 1
        try:
            await self._admit(scope, receive, noting)
        finally:
            self._under_way -= 1
            self._counters.note_request(scope["path"], statuses[0], time.perf_counter() - begin)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        if not self._is_known(headers.get(b"authorization", b"")):
            message = "the API key is missing or wrong: send it as 'Authorization: Bearer KEY'"
            await self._refuse(receive, send, 401, message, {"www-authenticate": "Bearer"})
            return
        if self._under_way > self._limits.concurrency:
            await self._refuse(receive, send, 429, "too many requests are under way; try again", {"retry-after": "1"})
            return
        body, ended = await self._read(headers, receive)
        if body is None:
            message = f"the body is larger than the {self._limits.body_bytes} bytes allowed"
            await self._refuse(receive, send, 413, message, {}, ended=ended)
            return
        await self._app(scope, _replaying(body, receive), send)

    async def _refuse(
        self,
        receive: Receive,
        send: Send,
        status: int,
        message: str,
        headers: dict[str, str],
        *,
        ended: bool = False,
    ) -> None:
        """Answer with an error, once the body is out of the way: who still writes would not read the answer."""
        left = 2 * self._limits.body_bytes
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while not ended and left > 0:
                    part = await receive()
                    left -= len(part.get("body", b""))
                    ended = not part.get("more_body", False)
        # What is left of it is not read, and the connection not used again.
        response = JSONResponse(error_body(status, message), status, headers={**headers, "connection": "close"})
        await send({"type": "http.response.start", "status": status, "headers": response.raw_headers})
        await send({"type": "http.response.body", "body": response.body})

    def _is_known(self, authorization: bytes) -> bool:
        if self._digest is None:
            return True
        scheme, _, given = authorization.partition(b" ")
        # Digests of the same length, compared in constant time: neither the key's length nor a part of it shows.
        return hmac.compare_digest(hashlib.sha256(given.strip()).digest(), self._digest) and scheme.lower() == b"bearer"

    async def _read(self, headers: dict[bytes, bytes], receive: Receive) -> tuple[bytes | None, bool]:
        """Return the whole body, or ``None`` where it is too large, announced or not; and whether it ended."""
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._limits.body_bytes:
            return None, False
        chunks, size, ended = [], 0, False
        while not ended:
            message = await receive()
            ended = not message.get("more_body", False)
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self._limits.body_bytes:
                return None, ended
            chunks.append(chunk)
        return b"".join(chunks), ended


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _replaying(body: bytes, receive: Receive) -> Receive:
    """Give the body that was read, and then whatever comes: that the client has gone."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay
