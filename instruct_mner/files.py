"""Files of text: read by lines that end at newlines only, written whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, TextIO

from instruct_mner.errors import ConfigError, DataError, listing, too_long

_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MAKE_ROOM = "make room, or choose another place, and run the same command again"
is_file = os.path.isfile  # Path.is_file raises an error of a name that is too long
"""Function that tells whether there is a file of a name that stands in data, and that may be too long for any file."""
_LONGEST_NAME = 255  # bytes, on all usual file systems
_A_PIPE = "a pipe can be read once only; save it as a file, or give posts on standard input, named -"


def read_bytes(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        DataError: It is missing, a folder, or may not be read.
    """
    with opened(path) as file:
        return file.read()


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedReader]:
    """Open a file to be read as bytes; errors as of :func:`read_bytes`."""
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file; check the path") from None
    except IsADirectoryError:
        raise DataError(f"{path}: cannot be read, it is a folder; name a file") from None
    except OSError as error:
        reason = _A_PIPE if isinstance(error, io.UnsupportedOperation) else error.strerror or error
        raise DataError(f"{path}: cannot be read: {reason}") from None


def decode_lines(content: bytes, path: Path) -> tuple[list[str], list[str]]:
    """Return all lines of a file in memory, without their ends, and the problems; see :func:`stream_lines`."""
    texts, problems = list[str](), list[str]()
    for line in _decoded(io.BytesIO(content), path):  # all records at once would take more room than the text
        problems += [] if line.problem is None else [line.problem]
        texts += [] if line.fatal else [line.text]
    return texts, problems


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file.

    Attributes:
        number: Number of the line, from 1.
        offset: Position of its first byte in the file.
        text: Without its end; U+FFFD for what cannot be decoded.
        problem: Reason why it is not UTF-8, as ``file:line: reason``.
        fatal: True where the file is no text at all, so that nothing follows.
    """

    number: int
    offset: int
    text: str
    problem: str | None = None
    fatal: bool = False


def stream_lines(path: Path, offset: int = 0) -> Iterator[Line]:
    r"""Read UTF-8 text line by line, and report which lines are not UTF-8.

    Lines end at ``\n`` or ``\r\n`` only: ``str.splitlines`` would also cut at U+0085 and U+2028, which stand
    in posts. A byte order mark at the beginning is dropped.

    Args:
        path: The file.
        offset: Byte of a line's beginning from which to read; numbers then count from there.

    Raises:
        DataError: It is missing, a folder, or may not be read.
    """
    with opened(path) as file:
        file.seek(offset)
        yield from _decoded(file, path, offset)


def _why_no_lines(first: bytes) -> str | None:
    if first.startswith(_UTF16_BOMS):
        return "the file is UTF-16; save it as UTF-8"
    if b"\0" in first[:4]:
        return "the file is UTF-16 or no text (it begins with zero bytes); save it as UTF-8"
    only_returns = b"\n" not in first and first.count(b"\r") > 1
    return "its lines end with a carriage return alone; save it with newlines" if only_returns else None


def _decoded(file: BinaryIO, path: Path, offset: int = 0) -> Iterator[Line]:
    for number, raw in enumerate(file, start=1):
        begins = offset == 0
        if begins and (reason := _why_no_lines(raw)) is not None:
            yield Line(1, 0, "", f"{path}:1: {reason}", fatal=True)
            return
        line = (raw.removeprefix(_UTF8_BOM) if begins else raw).removesuffix(b"\n")
        problem = None
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            place = f"byte 0x{line[error.start]:02x} at position {error.start}"
            problem = f"{path}:{number}: {place} is not UTF-8; save the file as UTF-8"
            text = line.decode("utf-8", errors="replace")
        yield Line(number, offset, text.removesuffix("\r"), problem)
        offset += len(raw)


def read_lines(path: Path) -> list[str]:
    r"""Return the lines of a UTF-8 file, without their ends (``\n`` or ``\r\n``, nothing else).

    Raises:
        DataError: The file cannot be read, or is not UTF-8.
    """
    return _lines(read_bytes(path), path)


def _lines(content: bytes, path: Path) -> list[str]:
    lines, problems = decode_lines(content, path)
    if problems:
        raise DataError(f"{path} is not UTF-8:\n{listing(problems)}")
    return lines


def read_text(path: Path, *, keep_returns: bool = False) -> str:
    """Return the whole of a UTF-8 file, every line ended by a newline alone unless carriage returns are kept.

    Raises:
        DataError: The file cannot be read, or is not UTF-8.
    """
    content = read_bytes(path)  # once, because of a pipe nothing would be left
    _lines(content, path)
    return content.decode("utf-8-sig").replace("\r\n", "\r\n" if keep_returns else "\n")


def check_place(path: Path) -> None:
    """Raise a ConfigError for a place in which no file or folder can be made, before hours of work are lost to it."""
    if (name := next((part for part in path.parts if len(os.fsencode(part)) > _LONGEST_NAME), None)) is not None:
        raise ConfigError(too_long(name))
    for link in (path, *path.parents):
        if link.is_symlink() and not link.exists():
            raise ConfigError(f"{link} is a link to {link.readlink()}, which is not there; choose another place")
    above = next(folder for folder in path.resolve().parents if folder.exists())
    try:  # by doing it: in /proc nobody can make a file, whatever its rights say
        TemporaryFile(dir=above).close()
    except OSError as error:
        reason = "is a file" if isinstance(error, NotADirectoryError) else f"takes no file ({error.strerror})"
        raise ConfigError(f"{path}: cannot be written, {above} {reason}; choose another place") from None


def write_error(path: Path, error: OSError) -> DataError:
    """Return the error of a file that cannot be written, with what to do."""
    remedy = MAKE_ROOM if error.errno in FULL else "choose another place"
    return DataError(f"{path}: cannot be written: {error.strerror or error}; {remedy}")


def is_stream(output: str | Path) -> bool:
    """Return whether an output is written to as it is: ``-`` for standard output, a device or a pipe."""
    path = Path(output)
    return str(output) == "-" or (path.exists() and not path.is_file() and not path.is_dir())


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Keep every other run from writing to ``path``, a file or folder but no device, while the block runs.

    The lock ends with the process that holds it, however that ends. Folders above are made, and removed again if empty.

    Raises:
        ConfigError: Another run writes to it, or no file can be made beside it.
    """
    if is_stream(path):
        yield
        return
    check_place(path)
    path = path.resolve()
    above = [folder for folder in path.parents if not folder.exists()]
    lock = path.parent / f".{path.name}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _locked(lock, path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror or error}; choose another place") from None
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(file)
        with suppress(OSError):  # there is something in it, as there should be
            for folder in above:
                folder.rmdir()


def _locked(lock: Path, path: Path) -> int:
    """Return the descriptor of a file that is locked."""
    while True:
        file = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(file, 1000).decode(errors="replace") or "of which nothing is known"
            os.close(file)
            raise ConfigError(
                f"{path} is being written by another run, {holder}; wait for its end, end it, or choose another output"
            ) from None
        # Whoever held it may have removed it between the two calls: then this is a lock on nothing.
        with suppress(FileNotFoundError):
            if os.fstat(file).st_ino == lock.stat().st_ino:
                os.ftruncate(file, 0)
                with suppress(OSError):  # a full disk, of which the output tells
                    os.write(file, f"process {os.getpid()} on {socket.gethostname()} since {time.ctime()}".encode())
                return file
        os.close(file)


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """Open a text file that takes the place of ``path`` when the block ends well, and leaves no trace else.

    Folders above it are made. A device or pipe (``/dev/stdout``) is written to directly.

    Raises:
        DataError: It cannot be written.
    """
    in_place = is_stream(path)
    path = path.resolve()
    # Beside the target, because only within one file system a rename is all or nothing.
    written = path if in_place else path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        file = written.open("w", encoding="utf-8", newline="\n")
    except OSError as error:
        raise write_error(path, error) from None
    try:
        with file:
            yield file
        if not in_place:
            written.replace(path)
    except BaseException as error:
        if not in_place:
            written.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in FULL:
            raise write_error(path, error) from None
        raise
