"""Posts on standard input, copied into a file: they are read more than once."""

from __future__ import annotations

import atexit
import re
import shutil
import sys
import tempfile
from pathlib import Path

from instruct_mner.errors import DataError

NAME = "-"
"""DATA that stands for standard input."""

_FOLDER = "standard input"
# The copy of each stream: a stream is read once.
_copies: list[tuple[object, Path]] = []


def spooled() -> Path:
    """Copy standard input into a file, which is removed when the program ends; the same file at every call.

    Raises:
        DataError: It is closed.
    """
    if sys.stdin is None or getattr(sys.stdin, "closed", False):
        raise DataError("standard input is closed; name a file, or give the posts on standard input (| or <)")
    for stream, copy in _copies:
        if stream is sys.stdin.buffer:
            return copy
    folder = tempfile.mkdtemp(prefix="instruct-mner-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / _FOLDER / "stdin.jsonl"
    path.parent.mkdir()
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    _copies.append((sys.stdin.buffer, path))
    return path


def is_spooled(path: Path) -> bool:
    """Return whether a file is a copy of standard input; its pictures lie relative to the working folder."""
    return path.parent.name == _FOLDER and path.parent.parent.name.startswith("instruct-mner-")


def named(message: str) -> str:
    """Return a message that calls the copy by what it is a copy of."""
    for _, path in _copies:
        # Copies of other endings stand beside it.
        name = rf"{re.escape(str(path.with_suffix('')))}\.[a-z]+"
        message = re.sub(name, "standard input", re.sub(rf"\bimport {name}", f"import {NAME}", message))
    return message
