"""Pictures of tasks, fetched from the one Label Studio that ``--label-studio`` names, and from nowhere else.

Source: https://labelstud.io/guide/access_tokens (legacy tokens, and personal ones, which are exchanged first) and
https://labelstud.io/guide/tasks (addresses of uploaded and local files).
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import httpx

from instruct_mner.errors import ConfigError

KEY_VARIABLE = "LABEL_STUDIO_API_KEY"
"""Environment variable with the access token of Label Studio."""
_FOLDER = "/data/"
# Signs by which a path leaves its folder, or is another to a server than to us.
_NOT_PLAIN = re.compile(r"\.\.|\\|%2e|%5c|%00|[\x00-\x20#]", re.IGNORECASE)
# A personal token is a JSON Web Token; the older ones are 40 hexadecimal digits.
_PERSONAL = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")
_MOST_AT_ONCE = 4
_MOST_REQUESTS = 16


class _UnreadError(Exception):
    """Error of a picture that is not read; the message is the reason."""


@dataclass(frozen=True, kw_only=True)
class TaskPicture:
    """A picture of a task.

    Attributes:
        content: The picture as a data URL; ``None`` where it was not read.
        reason: Reason why it was not read, in words that hold nothing of the task, as they are logged.
    """

    content: str | None = None
    reason: str | None = None


class TaskPictures:
    """Reader of the pictures of tasks: one host, its folder of data, bounded in bytes and time, without redirects.

    Args:
        base: Address of Label Studio, such as ``http://localhost:8080``.
        key: Access token of Label Studio; ``None`` where its files need none.
        most_bytes: Bytes of the pictures of one request together.
        seconds: Time for the pictures of one request.

    Raises:
        ConfigError: The address is none, or holds more than a host and a path.
    """

    def __init__(self, base: str, key: str | None, *, most_bytes: int, seconds: float = 30.0) -> None:
        self._base = _checked(base)
        self._key = key
        self._most_bytes = most_bytes
        self._seconds = seconds
        self._requests = asyncio.Semaphore(_MOST_REQUESTS)

    @asynccontextmanager
    async def held(self, addresses: Sequence[str]) -> AsyncIterator[list[TaskPicture]]:
        """Read pictures and hold them; of further requests at once, each waits until another has ended.

        Args:
            addresses: Addresses as tasks hold them, with or without the host.
        """
        async with self._requests:
            yield await self.read(addresses)

    async def read(self, addresses: Sequence[str]) -> list[TaskPicture]:
        """Read pictures; those that cannot be read have the reason.

        Args:
            addresses: Addresses as tasks hold them, with or without the host.
        """
        left = [self._most_bytes]
        places = asyncio.Semaphore(_MOST_AT_ONCE)
        async with httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=self._seconds) as client:
            try:
                async with asyncio.timeout(self._seconds):
                    headers = await self._headers(client)
            except (_UnreadError, httpx.HTTPError, TimeoutError) as error:
                return [TaskPicture(reason=self._reason(error)) for _ in addresses]

            async def one(address: str) -> TaskPicture:
                try:
                    async with asyncio.timeout(self._seconds), places:
                        return TaskPicture(content=await _fetched(client, self._url(address), headers, left))
                except (_UnreadError, httpx.HTTPError, TimeoutError) as error:
                    return TaskPicture(reason=self._reason(error))

            return list(await asyncio.gather(*map(one, addresses)))

    def _url(self, address: str) -> str:
        """Return the whole address of a picture.

        Raises:
            _UnreadError: It is not one of the files of this Label Studio.
        """
        path, prefix = address, self._base.path
        if not address.startswith("/") or address.startswith("//"):
            try:
                parts = urlsplit(address)
                same = _origin(parts) == _origin(self._base) and parts.username is None
            except ValueError:
                same = False
            if not same:
                raise _UnreadError("its address is not one of --label-studio")
            path = parts.path + (f"?{parts.query}" if parts.query else "")
        path = path.removeprefix(prefix) if path.startswith(f"{prefix}{_FOLDER}") else path
        if not path.startswith(_FOLDER) or _NOT_PLAIN.search(path):
            raise _UnreadError(f"its address is none of a file in {_FOLDER}")
        return f"{self._base.scheme}://{self._base.netloc}{prefix}{path}"

    async def _headers(self, client: httpx.AsyncClient) -> dict[str, str]:
        plain = {"accept-encoding": "identity"}
        if self._key is None:
            return plain
        if not _PERSONAL.fullmatch(self._key):
            return {**plain, "authorization": f"Token {self._key}"}
        url = f"{self._base.geturl()}/api/token/refresh"
        response = await client.post(url, json={"refresh": self._key})
        try:
            return {**plain, "authorization": f"Bearer {response.json()['access']}"}
        except (ValueError, KeyError, TypeError):
            raise _UnreadError(_status(response.status_code)) from None

    def _reason(self, error: Exception) -> str:
        if isinstance(error, _UnreadError):
            return str(error)
        if isinstance(error, TimeoutError | httpx.TimeoutException):
            return f"Label Studio did not send it in {self._seconds:g} seconds"
        return f"Label Studio cannot be reached ({type(error).__name__})"


async def _fetched(client: httpx.AsyncClient, url: str, headers: dict[str, str], left: list[int]) -> str:
    """Return a picture as a data URL.

    Args:
        client: Client of the request.
        url: Address of the picture.
        headers: Headers of the request.
        left: Number of bytes that the pictures may still have together, taken from.

    Raises:
        _UnreadError: The server does not send it, or it is too large.
    """
    pieces = []
    async with client.stream("GET", url, headers=headers) as response:
        if response.status_code != 200:
            raise _UnreadError(_status(response.status_code))
        async for piece in response.aiter_raw():
            left[0] -= len(piece)
            if left[0] < 0:
                raise _UnreadError("the pictures of the request are larger together than --max-body")
            pieces.append(piece)
    return f"data:application/octet-stream;base64,{base64.b64encode(b''.join(pieces)).decode()}"


def _status(status: int) -> str:
    if 300 <= status < 400:
        return "Label Studio sends on to another address, which is not followed"
    remedy = f"; is {KEY_VARIABLE} right?" if status in {401, 403} else ""
    return f"Label Studio answers with status {status}{remedy}"


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _checked(base: str) -> SplitResult:
    try:
        parts = urlsplit(base.rstrip("/"))
        right = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        right = False
    if not right or parts.username is not None or parts.query or parts.fragment:
        raise ConfigError(f"--label-studio {base}: write the address of Label Studio, such as http://localhost:8080")
    return parts
