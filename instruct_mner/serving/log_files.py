"""Logs of ``serve``, checked before anything is started: none may be another file that it reads or writes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from instruct_mner.errors import ConfigError
from instruct_mner.files import exclusive
from instruct_mner.vllm_runtime.process import older_log

# Device and inode of a file that is there, the path of one that is not.
_Identity = tuple[int, int] | Path


def check_logs(*, access_log: Path | None = None, engine_log: Path | None = None, keys: Path | None = None) -> None:
    """Check that lines can be appended to the logs, and to nothing else.

    Args:
        access_log: File of the access log.
        engine_log: File of vLLM's log, which is renamed where it is large, and read for messages.
        keys: File of the keys.

    Raises:
        ConfigError: A log cannot be written, that of vLLM is no regular file, or two files are one.
    """
    _check_apart(access_log, engine_log, keys)
    for flag, log in (("--access-log", access_log), ("--engine-log", engine_log)):
        if log is None:
            continue
        try:
            if flag == "--engine-log" and log.exists() and not log.is_file():
                raise ConfigError(f"{flag} {log}: it is renamed and read again, which needs a file; name one")
            log.open("a").close()
        except OSError as error:
            raise ConfigError(f"{flag} {log}: the file cannot be written ({error.strerror or error})") from None


@contextmanager
def engine_log_held(log: Path | None) -> Iterator[None]:
    """Keep every other server from the log of vLLM, which each would rename under the others, and read for messages.

    In a folder where nothing can be made it is never renamed, and not held.

    Args:
        log: File of vLLM's log; ``None`` where each server has its own.

    Raises:
        ConfigError: Another server writes to it.
    """
    if log is None or not os.access(log.resolve().parent, os.W_OK):
        yield
        return
    with exclusive(log):
        yield


def _check_apart(access_log: Path | None, engine_log: Path | None, keys: Path | None) -> None:
    known: dict[_Identity, str] = {}
    for number, name in ((1, "standard output"), (2, "standard error")):
        with suppress(OSError):  # closed
            status = os.fstat(number)
            if stat.S_ISREG(status.st_mode):
                known[status.st_dev, status.st_ino] = name
    files = [("--keys", keys), ("--access-log", access_log), ("--engine-log", engine_log)]
    if engine_log is not None:
        files.append(("--engine-log, as it is renamed,", older_log(engine_log)))
    for flag, file in files:
        identity = None if file is None else _identity(file)
        if identity in known:
            raise ConfigError(f"{flag} {file} and {known[identity]} are one file; give each log a file of its own")
        if identity is not None:
            known[identity] = f"{flag} {file}"


def _identity(file: Path) -> _Identity | None:
    """Return what tells a file from others; ``None`` of a device or a pipe, which several may share."""
    try:
        status = file.stat()
    except OSError:
        return file.resolve()
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None
