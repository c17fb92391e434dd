"""Pictures of requests: measured, then decoded in worker processes, with a bound on all that are held at once."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from PIL import Image

from instruct_mner.serving.limits import BusyError, Limits, RefusedError

if TYPE_CHECKING:
    from instruct_mner.serving.worker import Result
    from instruct_mner.serving.worker_pool import WorkerPool


class PixelBudget:
    """Pixels that all requests under way may hold together; who comes first is served first.

    Args:
        total: Number of pixels.
        most_waiting: Requests that may wait; further ones are refused with :class:`BusyError`.
    """

    def __init__(self, total: int, most_waiting: int = 128) -> None:
        self._total = self._free = total
        self._most_waiting = most_waiting
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def reserved(self, pixels: int) -> AsyncIterator[None]:
        """Hold so many pixels; wait until they are free.

        Raises:
            RefusedError: They are more than there are.
            BusyError: Too many requests wait.
        """
        if pixels > self._total:
            raise RefusedError(413, f"the pictures have {pixels} pixels together, more than the {self._total} allowed")
        await self._take(pixels)
        try:
            yield
        finally:
            self._give_back(pixels)

    async def _take(self, pixels: int) -> None:
        if not self._waiting and pixels <= self._free:
            self._free -= pixels
            return
        if len(self._waiting) >= self._most_waiting:
            raise BusyError("too many pictures are under way; try again")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((pixels, turn))
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self._give_back(pixels)
            elif (pixels, turn) in self._waiting:
                self._waiting.remove((pixels, turn))
                self._give_back(0)
            raise

    def _give_back(self, pixels: int) -> None:
        self._free += pixels
        while self._waiting and self._waiting[0][0] <= self._free:
            wanted, turn = self._waiting.popleft()
            if not turn.done():
                self._free -= wanted
                turn.set_result(None)


class PictureReader:
    """Decoder of the pictures of requests.

    Args:
        pool: Worker processes.
        limits: Limits of pictures.
    """

    def __init__(self, pool: WorkerPool, limits: Limits) -> None:
        self._pool = pool
        self._limits = limits
        self._budget = PixelBudget(max(limits.total_pixels, limits.picture_pixels))

    async def sizes(self, sources: Sequence[str]) -> list[tuple[int, int]]:
        """Return width and height of each picture, in pixels.

        Args:
            sources: Pictures as base64, bare or as data URLs.

        Raises:
            RefusedError: One is an address, or no picture that may be decoded.
        """
        contents = [read_base64(source, number) for number, source in enumerate(sources, start=1)]
        measured = [await self._run("measure", each, number) for number, each in enumerate(contents, start=1)]
        return [(head["size"][0], head["size"][1]) for head, _ in measured]

    @asynccontextmanager
    async def images(self, sources: Sequence[str]) -> AsyncIterator[tuple[Image.Image, ...]]:
        """Hold the pictures of a request, decoded.

        Args:
            sources: Pictures as base64, bare or as data URLs.

        Raises:
            RefusedError: One is an address, or no picture that may be decoded.
            BusyError: Too many pictures are under way.
        """
        async with self._decoded(sources, "rgb") as decoded:
            yield tuple(Image.frombytes("RGB", tuple(head["size"]), content) for head, content in decoded)

    @asynccontextmanager
    async def png_urls(self, sources: Sequence[str]) -> AsyncIterator[tuple[str, ...]]:
        """Hold the pictures of a request, written anew as data URLs of PNG: what vLLM decodes costs no more than this.

        Args:
            sources: Pictures as base64, bare or as data URLs.

        Raises:
            RefusedError: One is an address, or no picture that may be decoded.
            BusyError: Too many pictures are under way.
        """
        async with self._decoded(sources, "png") as decoded:
            yield tuple(f"data:image/png;base64,{base64.b64encode(content).decode()}" for _, content in decoded)

    @asynccontextmanager
    async def _decoded(self, sources: Sequence[str], form: Literal["rgb", "png"]) -> AsyncIterator[list[Result]]:
        contents = [read_base64(source, number) for number, source in enumerate(sources, start=1)]
        measured = [await self._run("measure", each, number) for number, each in enumerate(contents, start=1)]
        pixels = sum(head["size"][0] * head["size"][1] for head, _ in measured)
        async with self._budget.reserved(pixels):
            yield [await self._run("decode", each, number, form) for number, each in enumerate(contents, start=1)]

    async def _run(self, do: str, content: bytes, number: int, form: str = "") -> Result:
        job = {"do": do, "max_pixels": self._limits.picture_pixels, "format": form}
        try:
            return await self._pool.run(job, content)
        except RefusedError as error:
            raise RefusedError(error.status, f"picture {number}: {error}") from None


def read_base64(source: str, number: int) -> bytes:
    """Return the bytes of a picture given as base64, bare or as a data URL; no address is followed, no file opened.

    Args:
        source: Picture as the request holds it.
        number: Number of the picture in the request, from 1.

    Raises:
        RefusedError: It is an address, or not base64.
    """
    try:
        return base64.b64decode(_payload(source, number), validate=True)
    except (binascii.Error, ValueError):
        raise RefusedError(422, f"picture {number} is not base64; send data:image/png;base64,…") from None


def _payload(source: str, number: int) -> str:
    if source[:5].lower() != "data:":
        if ":" in source[:16]:
            raise RefusedError(
                422, f"picture {number} is an address, {source[:40]!r}; send the picture itself, as base64"
            )
        return source
    head, comma, data = source.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise RefusedError(422, f"picture {number} is a data URL without ';base64,'; send data:image/png;base64,…")
    return data


def is_allowed_address(source: str, domains: tuple[str, ...]) -> bool:
    """Return whether a picture may be fetched from an address."""
    try:
        parts = urlsplit(source)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and parts.hostname in domains
