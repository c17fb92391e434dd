"""API keys: one from the environment, or several with names from a file that is read again when it changes."""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from instruct_mner.errors import ConfigError

_SECONDS_BETWEEN_LOOKS = 1.0
_log = logging.getLogger(__name__)


class Keys:
    """API keys that clients may send.

    Args:
        keys: Key of each client, by the client's name.
        file: File of the keys, looked at again at most once a second.
        clock: Clock in seconds.
    """

    def __init__(
        self, keys: Mapping[str, str], file: Path | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._file = file
        self._clock = clock
        self._next_look = clock() + _SECONDS_BETWEEN_LOOKS
        self._state = None if file is None else _state(file)
        self._digests = _digests(keys)

    @classmethod
    def of_file(cls, file: Path, clock: Callable[[], float] = time.monotonic) -> Keys:
        """Return the keys of a file: a line for each client, its name and its key; ``#`` begins a comment.

        Raises:
            ConfigError: The file cannot be read, or holds no keys.
        """
        return cls(read_keys(file), file, clock)

    @property
    def num_clients(self) -> int:
        """Number of clients with a key."""
        return len(self._digests)

    def client_of(self, authorization: bytes) -> str | None:
        """Return the name of the client that an ``Authorization`` header belongs to; ``None`` for a wrong key."""
        self._look_again()
        scheme, _, key = authorization.partition(b" ")
        digest = hashlib.sha256(key.strip()).digest()
        # All are compared, in constant time and with digests of one length: nothing of a key shows in the time.
        names = [name for name, own in self._digests.items() if hmac.compare_digest(digest, own)]
        return names[0] if names and scheme.lower() == b"bearer" else None

    def _look_again(self) -> None:
        if self._file is None or self._clock() < self._next_look:
            return
        self._next_look = self._clock() + _SECONDS_BETWEEN_LOOKS
        state = _state(self._file)
        if state == self._state:
            return
        self._state = state
        try:
            self._digests = _digests(read_keys(self._file))
        except ConfigError as error:
            _log.warning("the keys stay as they are: %s", error)


def read_keys(file: Path) -> dict[str, str]:
    """Return the keys of a file by the names of the clients.

    Raises:
        ConfigError: The file cannot be read, holds no keys, or a line is not a name and a key.
    """
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: the file of keys cannot be read ({error})") from None
    keys: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or words[0] in keys:
            raise ConfigError(f"{file}:{number}: write a name and a key, with a space between them; each name once")
        check_key(words[1], f"{file}:{number}")
        keys[words[0]] = words[1]
    if not keys:
        raise ConfigError(f"{file}: there are no keys in it; write a line with a name and a key for each client")
    return keys


def check_key(key: str, place: str) -> None:
    """Refuse a key that no HTTP header can hold.

    Raises:
        ConfigError: The key holds other characters than printable ASCII.
    """
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(f"{place} holds characters that no HTTP header may hold; choose letters and digits")


def _digests(keys: Mapping[str, str]) -> dict[str, bytes]:
    return {name: hashlib.sha256(key.encode()).digest() for name, key in keys.items()}


def _state(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
