"""API keys: one from the environment, or several with names from a file that is read again when it changes.

A line of the file is the name of a client, its key, and, where it has a rate of its own, ``rate=REQUESTS_A_SECOND``,
with spaces or tabs between them. ``#`` at the beginning of a line or behind a space begins a comment.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from instruct_mner.errors import ConfigError, DataError
from instruct_mner.files import read_lines

_SECONDS_BETWEEN_LOOKS = 1.0
_WORD = re.compile(r"[^ \t]+")
_COMMENT = re.compile(r"(^|[ \t])#.*")
FIRST_KEY = r"""awk '{sub(/^\357\273\277/, ""); sub(/(^|[ \t])#.*/, ""); sub(/\r$/, "")} NF {print $2; exit}'"""
"""Command that prints the first key of a file, which it reads as :func:`read_keys` does."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Client:
    """Client of the server.

    Attributes:
        key: API key.
        rate: Requests a second; ``None`` = as for all.
    """

    key: str
    rate: float | None = None


class Keys:
    """API keys that clients may send.

    Args:
        clients: Clients by their names.
        file: File of the keys, looked at again at most once a second.
        clock: Clock in seconds.
    """

    def __init__(
        self, clients: Mapping[str, Client], file: Path | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._file = file
        self._clock = clock
        self._next_look = clock() + _SECONDS_BETWEEN_LOOKS
        self._state = None if file is None else _state(file)
        self._digests, self._rates = _digests(clients), _rates(clients)

    @classmethod
    def of_file(cls, file: Path, clock: Callable[[], float] = time.monotonic) -> Keys:
        """Return the keys of a file: a line for each client.

        Raises:
            ConfigError: The file cannot be read, or holds no keys.
        """
        return cls(read_keys(file), file, clock)

    @property
    def num_clients(self) -> int:
        """Number of clients with a key."""
        return len(self._digests)

    def rate_of(self, client: str) -> float | None:
        """Return the rate of a client, in requests a second, where it has one of its own."""
        return self._rates.get(client)

    def client_of(self, authorization: bytes) -> str | None:
        """Return the name of the client that an ``Authorization`` header belongs to; ``None`` for a wrong key.

        The key is a bearer token, or the password of basic authentication, the only one that Label Studio knows.
        """
        self._look_again()
        scheme, _, key = authorization.partition(b" ")
        if scheme.lower() == b"basic":
            key = _password(key)
        digest = hashlib.sha256(key.strip()).digest()
        # All are compared, in constant time and with digests of one length: nothing of a key shows in the time.
        names = [name for name, own in self._digests.items() if hmac.compare_digest(digest, own)]
        return names[0] if names and scheme.lower() in {b"basic", b"bearer"} else None

    def _look_again(self) -> None:
        if self._file is None or self._clock() < self._next_look:
            return
        self._next_look = self._clock() + _SECONDS_BETWEEN_LOOKS
        state = _state(self._file)
        if state == self._state:
            return
        self._state = state
        try:
            clients = read_keys(self._file)
        except ConfigError as error:
            _log.warning("the keys stay as they are: %s", error)
        else:
            self._digests, self._rates = _digests(clients), _rates(clients)


def _password(credentials: bytes) -> bytes:
    """Return the password of basic authentication; what is no such thing matches no key."""
    try:
        return base64.b64decode(credentials.strip(), validate=True).partition(b":")[2]
    except ValueError:
        return b""


def read_keys(file: Path) -> dict[str, Client]:
    """Return the clients of a file by their names.

    Raises:
        ConfigError: The file cannot be read, holds no keys, two clients have one name or key, or a line is not a name,
            a key and perhaps a rate.
    """
    try:
        lines = read_lines(file)
    except DataError as error:
        raise ConfigError(f"the file of keys cannot be read: {error}") from None
    clients: dict[str, Client] = {}
    lines_of_keys: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        words = _WORD.findall(_COMMENT.sub("", line))
        if not words:
            continue
        if not 2 <= len(words) <= 3 or words[0] in clients:
            raise ConfigError(
                f"{file}:{number}: write a name and a key, with a space between them, and rate=NUMBER where the client "
                "has a rate of its own; each name once"
            )
        check_key(words[1], f"{file}:{number}")
        if (first := lines_of_keys.setdefault(words[1], number)) != number:
            raise ConfigError(f"{file}:{number}: the key is that of line {first}; give each client a key of its own")
        rate = _rate(words[2], f"{file}:{number}") if len(words) == 3 else None
        clients[words[0]] = Client(key=words[1], rate=rate)
    if not clients:
        raise ConfigError(f"{file}: there are no keys in it; write a line with a name and a key for each client")
    return clients


def _rate(word: str, place: str) -> float:
    name, _, value = word.partition("=")
    try:
        rate = float(value) if name == "rate" else math.nan
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        # Not the word, which may be the rest of a key.
        raise ConfigError(f"{place}: the third word: write rate= with the requests a second, such as rate=5")
    return rate


def check_key(key: str, place: str) -> None:
    """Refuse a key that no HTTP header can hold.

    Raises:
        ConfigError: The key holds other characters than printable ASCII.
    """
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(f"{place} holds characters that no HTTP header may hold; choose letters and digits")


def _digests(clients: Mapping[str, Client]) -> dict[str, bytes]:
    return {name: hashlib.sha256(client.key.encode()).digest() for name, client in clients.items()}


def _rates(clients: Mapping[str, Client]) -> dict[str, float]:
    return {name: client.rate for name, client in clients.items() if client.rate is not None}


def _state(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
