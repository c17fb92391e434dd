"""Errors of the file system that a user can mend, wherever in a command they come up."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from instruct_mner.errors import too_long
from instruct_mner.files import FULL, MAKE_ROOM

# Source: safetensors 0.8 (Rust's io::Error), torch 2.13 (caffe2/serialize/inline_container.cc), pyarrow 23.
_WORDS_OF_FULL = (
    "No space left on", "File too large", "Disk quota exceeded", "PytorchStreamWriter", "inline_container",
)  # fmt: skip


def remedy_of(error: BaseException) -> str | None:
    """Return the message of a full disk, or of a name that is too long; ``None`` of any other error."""
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        # The name that was given stands anywhere in the path.
        return too_long(max(Path(os.fsdecode(error.filename or "")).parts, key=len, default=""))
    return when_full(error)


def when_full(error: BaseException | None) -> str | None:
    """Return the message of a disk that is full, or of a file that may not grow; ``None`` of any other error."""
    while error is not None:
        number = error.errno if isinstance(error, OSError) else None
        text = str(error)
        if number in FULL or any(words in text for words in _WORDS_OF_FULL):
            name = getattr(error, "filename", None)
            reason = os.strerror(number if number in FULL else errno.ENOSPC)
            return f"{name or 'the output'} cannot be written: {reason}; {MAKE_ROOM}"
        error = error.__cause__ or error.__context__
    return None
