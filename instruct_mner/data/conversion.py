"""Outputs of a conversion: a file for each split, none of which is there already."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from instruct_mner.errors import ConfigError, suggest

Split = TypeVar("Split")


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


def check_absent(*outputs: Path) -> None:
    """Refuse to write over a file.

    Raises:
        ConfigError: One of the outputs exists.
    """
    there = [str(path) for path in outputs if path.is_file()]
    if there:
        raise ConfigError(f"{', '.join(there)} exists; choose another name or remove it")
