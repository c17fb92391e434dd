"""Life of a server: ready where the engine writes tokens, draining after a signal, then ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

# A token of this age is as good as a new one.
_FRESH_SECONDS = 1.0
# An engine that hangs is told in the sum of both at most.
_PROBE_SECONDS = 3.5
_POLL_SECONDS = 0.05


class Lifecycle:
    """State of a server: ``is_draining`` after a signal, ``is_starting`` while its engine is started again.

    Args:
        silent_seconds: Time without a token of the engine after which the server is not ready.
        clock: Clock in seconds.
    """

    def __init__(self, silent_seconds: float = 4.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.is_draining = self.is_starting = False
        self.num_under_way = 0
        self.cut = asyncio.Event()
        self._silent_seconds = silent_seconds
        self._clock = clock
        self._last_token: float | None = None
        self._probing: asyncio.Task[None] | None = None

    @property
    def is_ready(self) -> bool:
        """Tell that new requests are taken, and that the engine has written a token lately."""
        return not self.is_draining and not self.is_starting and self._silence() <= self._silent_seconds

    def _silence(self) -> float:
        return float("inf") if self._last_token is None else self._clock() - self._last_token

    def note_token(self) -> None:
        """Note that the engine has answered."""
        self._last_token = self._clock()

    async def look(self, probe: Callable[[], Awaitable[bool]]) -> bool:
        """Tell the same; an engine that has not written a token just now is asked for one.

        It is asked only where somebody wants to know: after each token, vLLM's workers keep a core busy for a second.
        Those who ask at the same time share one question.

        Args:
            probe: Function that returns whether a token came.
        """
        if not self.is_draining and not self.is_starting and self._silence() > _FRESH_SECONDS:
            if self._probing is None or self._probing.done():
                self._probing = asyncio.create_task(self._probe(probe))
            await asyncio.shield(self._probing)
        return self.is_ready

    async def _probe(self, probe: Callable[[], Awaitable[bool]]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_PROBE_SECONDS):
                if await probe():
                    self.note_token()

    async def drain(self, seconds: float) -> None:
        """Take no further requests, wait for those under way, and cut those that are left after so many seconds."""
        self.is_draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.num_under_way:
                    await asyncio.sleep(_POLL_SECONDS)
        self.cut.set()
