"""Errors, by who can mend them.

The tree::

    MnerError
    ├── ConfigError    a setting, flag, label set or template is wrong
    ├── DataError      a file, row, picture or annotation is wrong
    ├── ModelError     a model or adapter cannot be loaded, or does not fit what it is used with
    └── ServingError   a server did not start, or answers otherwise than it must
        ├── UnreachableError    a server is not there
        └── EngineEndedError    a server that was ready has ended

Every one of them is something that the user can mend: the command line prints the message without a
traceback and exits with code 2 (``EngineEndedError``: as the engine ended). Anything else is a failure of ours
(traceback, code 1).
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class MnerError(Exception):
    """Base of all errors that a user can mend. The message says what was found, where, and what to do.

    Attributes:
        exit_code: Exit code of a command that ends with this error.
    """

    exit_code = 2


class ConfigError(MnerError):
    """A setting, flag, label set or template is wrong."""


class DataError(MnerError):
    """A file, row, picture or annotation is wrong."""


class ModelError(MnerError):
    """A model or adapter cannot be loaded, or does not fit what it is used with."""


class ServingError(MnerError):
    """A server did not start, or answers otherwise than it must.

    Attributes:
        status: The HTTP status with which it refused, where it did.
        response: Text of the answer of the server.
    """

    def __init__(self, message: str, *, status: int | None = None, response: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.response = response


class UnreachableError(ServingError):
    """A server is not there, or not yet ready."""


class HiddenPicturesWarning(UserWarning):
    """More pictures of a post than the model is shown; commands tell of them by themselves."""


class EngineEndedError(ServingError):
    """An engine that was ready has ended.

    Attributes:
        exit_code: 128 and the number of the signal that ended it, as shells write it; 1 where it ended by itself.
    """

    def __init__(self, message: str, signal_number: int | None = None) -> None:
        super().__init__(message)
        self.exit_code = 1 if signal_number is None else 128 + signal_number


def listing(problems: Iterable[str], *, most: int = 20) -> str:
    """Join problems into one message body, a line each; past ``most`` only their number is said."""
    lines = list(problems)
    kept = [f"  {line}" for line in lines[:most]]
    if len(lines) > most:
        kept.append(f"  … and {len(lines) - most} more")
    return "\n".join(kept)


def shortened(name: str, *, most: int = 80) -> str:
    """Return a name that stands in data as a message may hold it: a picture may be all of its bytes, as an address."""
    return name if len(name) <= most else f"{name[:most]}…"


def too_long(name: str) -> str:
    """Return the message of a name that no file can have."""
    size = len(name.encode("utf-8", "surrogateescape"))
    return f"{shortened(name)}: the name is too long for a file, {size} bytes; give a shorter one"


def suggest(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'labels'?"`` for the nearest known word, or the empty string."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""
