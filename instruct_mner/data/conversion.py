"""Outputs: which files may be written, and a file for each split of a conversion."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from instruct_mner.errors import ConfigError, suggest
from instruct_mner.files import opened

Split = TypeVar("Split")

# Bytes of a file in which the mark of the command that wrote it stands.
_NUM_MARKED_BYTES = 1000
_MOST_NAMED = 3


def choose_splits(splits: Mapping[str, Split], split: str | None) -> list[str]:
    """Return the names of the splits that are converted.

    Raises:
        ConfigError: There is no such split.
    """
    if split is not None and split not in splits:
        raise ConfigError(f"no split {split!r}{suggest(split, splits)}; found: {', '.join(splits)}")
    return [name for name in splits if split in {None, name}]


def choose_outputs(
    splits: Mapping[str, Split], out: Path, suffix: str, split: str | None = None, *, one_file: bool
) -> list[tuple[Split, Path]]:
    """Choose a file for each split.

    Args:
        splits: The splits of a data set.
        out: A file for one split, or a folder, which gets a file a split.
        suffix: Suffix of the files in a folder.
        split: Only this one.
        one_file: True where ``out`` is a file.

    Raises:
        ConfigError: No such split, several for one file, or a file that exists.
    """
    chosen = choose_splits(splits, split)
    if not one_file and not out.is_file():
        outputs = [(splits[name], out / f"{name}{suffix}") for name in chosen]
    elif len(chosen) > 1:
        raise ConfigError(
            f"{', '.join(chosen)} do not fit into one file {out}: choose one with --split, or name a folder"
        )
    else:
        outputs = [(splits[name], out) for name in chosen]
    check_absent(*(path for _, path in outputs))
    return outputs


def check_absent(*outputs: Path, own_mark: bytes | None = None) -> None:
    """Refuse to write over a file, but for one that the same command has made and makes anew.

    Args:
        outputs: Files to write.
        own_mark: Bytes near the beginning of the files of the command; without them, no file is written over.

    Raises:
        ConfigError: One of the outputs exists.
        DataError: It cannot be read.
    """
    there = [str(path) for path in outputs if path.is_file() and not _has_mark(path, own_mark)]
    if there:
        more = f" and {len(there) - _MOST_NAMED} more" if len(there) > _MOST_NAMED else ""
        exist, them = ("exists", "it") if len(there) == 1 else ("exist", "them")
        raise ConfigError(f"{', '.join(there[:_MOST_NAMED])}{more} {exist}; choose another name or remove {them}")


def check_output_file(output: Path, *, own_mark: bytes | None = None) -> None:
    """Refuse an output that is a folder, or a file that may not be written over; see :func:`check_absent`."""
    if output.is_dir():
        raise ConfigError(f"{output} is a folder; name a file")
    check_absent(output, own_mark=own_mark)


def _has_mark(path: Path, mark: bytes | None) -> bool:
    if mark is None:
        return False
    with opened(path) as file:
        return mark in file.read(_NUM_MARKED_BYTES)
