"""Errors of the file system that a user can mend, wherever in a command they come up."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from instruct_mner.errors import DataError, MnerError, too_long
from instruct_mner.files import FULL, MAKE_ROOM

# Source: safetensors 0.8 (Rust's io::Error), torch 2.13 (caffe2/serialize/inline_container.cc), pyarrow 23.
_WORDS_OF_FULL = (
    "No space left on", "File too large", "Disk quota exceeded", "PytorchStreamWriter", "inline_container",
)  # fmt: skip


def remedy_of(error: BaseException) -> str | None:
    """Return the message of a full disk, or of a name that no file can have or hold; ``None`` of any other error."""
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        # The name that was given stands anywhere in the path.
        return too_long(max(Path(os.fsdecode(error.filename or "")).parts, key=len, default=""))
    if isinstance(error, UnicodeEncodeError):
        return _not_utf8(error)
    return when_full(error)


def _not_utf8(error: UnicodeEncodeError) -> str | None:
    """Return the message of a name on the command line that is not UTF-8, as the file is in which it would stand."""
    name = next((each for each in sys.argv[1:] if error.object[error.start] in each), None)
    return None if name is None else f"{name}: the name is not UTF-8, and would stand in a file that is; give another"


@contextmanager
def resumable(folder: Path, *, resume: bool) -> Iterator[None]:
    """Name ``--resume`` where the disk is full during a run, whose folder is no longer empty.

    Args:
        folder: Run folder.
        resume: Whether the flag was given.

    Raises:
        DataError: The disk is full.
    """
    try:
        yield
    except Exception as error:
        message = str(error) if isinstance(error, MnerError) else when_full(error, output=folder)
        if message is None or MAKE_ROOM not in message:
            raise
        remedy = f"make room, and run the same command again{'' if resume else ' with --resume'}"
        raise DataError(message.replace(MAKE_ROOM, remedy)) from None


def when_full(error: BaseException | None, *, output: str | Path = "the output") -> str | None:
    """Return the message of a disk that is full, or of a file that may not grow; ``None`` of any other error.

    Args:
        error: The error.
        output: Name of the output, for errors that name no file.
    """
    while error is not None:
        number = error.errno if isinstance(error, OSError) else None
        text = str(error)
        if number in FULL or any(words in text for words in _WORDS_OF_FULL):
            name = getattr(error, "filename", None)
            reason = os.strerror(number if number in FULL else errno.ENOSPC)
            return f"{name or output} cannot be written: {reason}; {MAKE_ROOM}"
        error = error.__cause__ or error.__context__
    return None
