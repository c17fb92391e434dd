"""The door of the gateway: the key, the size of a body and deadlines, before anything is parsed."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from instruct_mner.serving.http_models import error_of
from instruct_mner.serving.json_body import is_too_wide
from instruct_mner.serving.limits import Limits, TooManyError
from instruct_mner.serving.request_log import request_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from instruct_mner.serving.keys import Keys
    from instruct_mner.serving.lifecycle import Lifecycle
    from instruct_mner.serving.places import Places, Rates

OPEN_PATHS = frozenset({"/", "/health", "/livez", "/readyz", "/openapi.json", "/docs"})
"""Paths that need no key."""

_DRAIN_SECONDS = 10
# No engine starts sooner.
_START_SECONDS = 5


class _RefusalError(Exception):
    def __init__(self, status: int, message: str, *, ended: bool = False, **headers: str) -> None:
        super().__init__(message)
        self.status, self.ended = status, ended
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Admission:
    """ASGI middleware: keys, places, sizes, deadlines and cancellation.

    Args:
        app: Application of the gateway.
        keys: Keys that clients must send as ``Authorization: Bearer``; ``None`` = anybody may ask.
        limits: Limits of requests.
        places: Places for requests under way.
        rates: Rates of clients.
        lifecycle: State of the server.
        on_known: Function that gets the address of a client that has sent a right key.
    """

    def __init__(
        self,
        app: ASGIApp,
        keys: Keys | None,
        limits: Limits,
        places: Places,
        rates: Rates,
        lifecycle: Lifecycle,
        on_known: Callable[[tuple[str, int] | None], None] = lambda client: None,
    ) -> None:
        self._app = app
        self._keys = keys
        self._limits = limits
        self._places = places
        self._rates = rates
        self._lifecycle = lifecycle
        self._on_known = on_known
        self._body_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on with its body read."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        try:
            await self._admit(scope, receive, answer)
        except _RefusalError as refusal:
            await self._refuse(scope, receive, answer, refusal)

    async def _admit(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        headers = {name.lower(): value for name, value in scope["headers"]}
        client = self._client(headers.get(b"authorization", b""))
        # Nothing is counted before the key: who has none can fill nothing.
        scope.setdefault("state", {})["client"] = client
        self._on_known(scope.get("client"))
        if self._lifecycle.is_draining:
            raise self._busy("the server is ending; try again")
        if self._lifecycle.is_starting:
            pause = str(max(_START_SECONDS, self._places.pause))
            raise _RefusalError(503, "the model is being started again; try again", retry_after=pause)
        with ExitStack() as held:
            try:
                self._rates.take(client)
                held.enter_context(self._places.taken(client, 1 if self._keys is None else self._keys.num_clients))
            except TooManyError as error:
                raise _RefusalError(error.status, str(error), retry_after=str(error.seconds)) from None
            self._lifecycle.num_under_way += 1
            chunks: list[bytes] = []
            try:
                await self._read(headers, receive, chunks)
                await self._answer(scope, b"".join(chunks), receive, answer)
            finally:
                self._body_bytes -= sum(map(len, chunks))
                self._lifecycle.num_under_way -= 1

    def _client(self, authorization: bytes) -> str:
        if self._keys is None:
            return ""
        client = self._keys.client_of(authorization)
        if client is None:
            message = "the API key is missing or wrong: send it as 'Authorization: Bearer KEY'"
            raise _RefusalError(401, message, www_authenticate="Bearer")
        return client

    def _busy(self, message: str, *, ended: bool = False) -> _RefusalError:
        """Return a refusal whose pause follows the queue."""
        return _RefusalError(503, message, ended=ended, retry_after=str(self._places.pause))

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, refusal: _RefusalError) -> None:
        """Answer with an error, once the body is out of the way: who still writes would not read the answer."""
        left, ended = 2 * self._limits.body_bytes, refusal.ended
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while not ended and left > 0:
                    part = await receive()
                    left -= len(part.get("body", b""))
                    ended = not part.get("more_body", False)
        # What is left of it is not read, and the connection not used again.
        headers = {**refusal.headers, "connection": "close"}
        body = error_of(refusal.status, str(refusal), request_id(scope)).model_dump()
        response = JSONResponse(body, refusal.status, headers=headers)
        await send({"type": "http.response.start", "status": refusal.status, "headers": response.raw_headers})
        await send({"type": "http.response.body", "body": response.body})

    async def _read(self, headers: dict[bytes, bytes], receive: Receive, chunks: list[bytes]) -> None:
        """Read the whole body; it may be too large whether its headers say so or not, too wide, or too slow."""
        too_large = f"the body is larger than the {self._limits.body_bytes} bytes allowed"
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > self._limits.body_bytes:
            raise _RefusalError(413, too_large)
        size, ended = 0, False
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while not ended:
                    message = await receive()
                    ended = not message.get("more_body", False)
                    chunk = message.get("body", b"")
                    size += len(chunk)
                    if size > self._limits.body_bytes:
                        raise _RefusalError(413, too_large, ended=ended)
                    if self._body_bytes + len(chunk) > self._limits.total_body_bytes:
                        raise self._busy("the bodies of the requests under way fill the memory", ended=ended)
                    chunks.append(chunk)
                    self._body_bytes += len(chunk)
        except TimeoutError:
            message_ = f"the body did not come within {self._limits.body_seconds:g} seconds"
            raise _RefusalError(408, message_, ended=True) from None
        if is_too_wide(b"".join(chunks), self._limits.body_values):
            raise _RefusalError(413, f"the body holds more than {self._limits.body_values} values", ended=True)

    async def _answer(self, scope: Scope, body: bytes, receive: Receive, answer: _Answer) -> None:
        """Have a request answered; the work ends where the client goes, its time is over, or the server ends."""
        gone = asyncio.Event()

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            gone.set()

        async def run() -> None:
            await self._app(scope, _replaying(body, gone), answer)

        work = asyncio.create_task(run())
        watcher, cut = asyncio.create_task(watch()), asyncio.create_task(self._lifecycle.cut.wait())
        try:
            await asyncio.wait(
                {work, watcher, cut}, timeout=self._limits.request_seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if not answer.is_complete and not work.done():
                work.cancel()
            await asyncio.wait({work})
        finally:
            for task in (watcher, cut, work):
                task.cancel()
        if not work.cancelled():
            work.result()
        elif not gone.is_set() and not answer.status:
            reason = "the server is ending" if self._lifecycle.cut.is_set() else "the answer took too long"
            raise self._busy(f"{reason}; try again", ended=True)


class _Answer:
    """Sender of an answer that notes its status and its end."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.is_complete = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            self.is_complete = True
        await self._send(message)


def _replaying(body: bytes, gone: asyncio.Event) -> Receive:
    """Return a receiver of the body that was read, and then of the end of the connection."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        if waiting:
            return waiting.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    return replay
