"""Files of text: read by lines that end at newlines only, written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import yaml

from instruct_mner.errors import ConfigError, DataError, listing

_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_HEAD_BYTES = 4


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        DataError: It is missing, a folder, or may not be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file; check the path") from None
    except IsADirectoryError:
        raise DataError(f"{path}: cannot be read, it is a folder; name a file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def decode_lines(content: bytes, path: Path) -> tuple[list[str], list[str]]:
    r"""Cuts UTF-8 text into lines, and says which of them are not UTF-8.

    Lines end at ``\n`` or ``\r\n`` only: ``str.splitlines`` would also cut at U+0085 and U+2028, which stand
    in posts. A byte order mark at the beginning is dropped.

    Args:
        content: The bytes of the file.
        path: Named in the problems.

    Returns:
        The lines without their ends, U+FFFD for what cannot be decoded; and the problems, as
        ``file:line: reason``.
    """
    if content.startswith(_UTF16_BOMS):
        return [], [f"{path}:1: the file is UTF-16; save it as UTF-8"]
    if b"\0" in content[:_HEAD_BYTES]:
        return [], [f"{path}:1: the file is UTF-16 or no text (it begins with zero bytes); save it as UTF-8"]
    lines = content.removeprefix(_UTF8_BOM).split(b"\n")
    if not lines[-1]:
        lines.pop()
    texts, problems = [], []
    for number, line in enumerate(lines, start=1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            problems.append(
                f"{path}:{number}: byte 0x{line[error.start]:02x} at position {error.start} is not UTF-8; "
                "save the file as UTF-8"
            )
            text = line.decode("utf-8", errors="replace")
        texts.append(text.removesuffix("\r"))
    return texts, problems


def read_lines(path: Path) -> list[str]:
    r"""The lines of a UTF-8 file, without their ends (``\n`` or ``\r\n``, nothing else).

    Raises:
        DataError: The file cannot be read, or is not UTF-8.
    """
    lines, problems = decode_lines(read_bytes(path), path)
    if problems:
        raise DataError(f"{path} is not UTF-8:\n{listing(problems)}")
    return lines


def read_text(path: Path) -> str:
    """The whole of a UTF-8 file, every line ended by a newline alone.

    Raises:
        DataError: The file cannot be read, or is not UTF-8.
    """
    read_lines(path)
    return read_bytes(path).removeprefix(_UTF8_BOM).decode("utf-8").replace("\r\n", "\n")


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that is given twice, of which YAML would take the last without a word."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Called by the parser for every mapping."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"'{key.value}' is given twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """The value of a YAML file.

    Raises:
        DataError: The file cannot be read, or is not UTF-8.
        ConfigError: It is not YAML.
    """
    text = read_text(path)
    try:
        return yaml.load(text, _UniqueKeys)  # noqa: S506 (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = "" if mark is None else f":{mark.line + 1}"
        raise ConfigError(f"{path}{where}: not YAML: {error.problem or error.context}; mend the line") from None
    except (yaml.YAMLError, RecursionError) as error:
        reason = "nested too deep; make it flat" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise ConfigError(f"{path}: not YAML: {reason}") from None


def check_place(path: Path) -> None:
    """Refuses a place in which no file or folder can be made, before hours of work are lost to it.

    Raises:
        ConfigError: What is above it is no folder, or may not be written to.
    """
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        reason = "may not be written to" if above.is_dir() else "is a file"
        raise ConfigError(f"{path}: cannot be written, {above} {reason}; choose another place")


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """Opens a text file that takes the place of ``path`` when the block ends well, and leaves no trace else.

    Folders above it are made. A device or pipe (``/dev/stdout``) is written to directly.

    Raises:
        DataError: It cannot be written.
    """
    path = path.resolve()
    in_place = path.exists() and not path.is_file() and not path.is_dir()
    # Beside the target, because only within one file system a rename is all or nothing.
    written = path if in_place else path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        file = written.open("w", encoding="utf-8", newline="\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}; choose another place") from None
    try:
        with file:
            yield file
        if not in_place:
            written.replace(path)
    except BaseException:
        if not in_place:
            written.unlink(missing_ok=True)
        raise
