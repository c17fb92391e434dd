"""Life of a server: ready where the engine writes tokens, draining after a signal, then ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

# A token of this age is as good as a new one.
_FRESH_SECONDS = 1.0
# An engine that hangs is told within the sum of both where somebody asks again and again, and within the second one
# after a single question.
_PROBE_SECONDS = 3.0
_RETRY_SECONDS = 0.1
_POLL_SECONDS = 0.05


class Lifecycle:
    """State of a server: ``is_draining`` after a signal, ``is_starting`` while its engine is started again.

    Args:
        clock: Clock in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.is_draining = self.is_starting = False
        self.num_under_way = 0
        self.cut = asyncio.Event()
        self._clock = clock
        self._last_token: float | None = None
        self._probing: asyncio.Task[None] | None = None

    @property
    def takes_requests(self) -> bool:
        """Tell that new requests are taken, whatever the engine does."""
        return not self.is_draining and not self.is_starting

    def note_token(self) -> None:
        """Note that the engine has answered."""
        self._last_token = self._clock()

    async def is_ready(self, probe: Callable[[], Awaitable[bool]]) -> bool:
        """Tell that new requests are taken, and that the engine writes tokens.

        An engine that has written none in the last second is asked for one, and only where somebody wants to know:
        after each token, vLLM's workers keep a core busy for a second. Those who ask at the same time share one
        question.

        Args:
            probe: Function that returns whether a token came.
        """
        begin = self._clock()
        if self.takes_requests and not self._has_token_since(begin - _FRESH_SECONDS):
            if self._probing is None or self._probing.done():
                self._probing = asyncio.create_task(self._probe(probe, begin))
            await asyncio.shield(self._probing)
        return self.takes_requests and self._has_token_since(begin - _FRESH_SECONDS)

    def _has_token_since(self, then: float) -> bool:
        return self._last_token is not None and self._last_token >= then

    async def _probe(self, probe: Callable[[], Awaitable[bool]], begin: float) -> None:
        """Ask until a token has come, for this question or another, or the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PROBE_SECONDS):
                while not self._has_token_since(begin):
                    if await probe():
                        self.note_token()
                    else:
                        await asyncio.sleep(_RETRY_SECONDS)

    async def drain(self, seconds: float) -> None:
        """Take no further requests, wait for those under way, and cut those that are left after so many seconds."""
        self.is_draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.num_under_way:
                    await asyncio.sleep(_POLL_SECONDS)
        self.cut.set()
