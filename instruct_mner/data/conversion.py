"""Any known format to JSONL, the native one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from instruct_mner.data.dataset import Dataset
from instruct_mner.data.jsonl import write_jsonl
from instruct_mner.errors import ConfigError, suggest
from instruct_mner.schema.records import Example


def choose_outputs(splits: Mapping[str, Dataset], out: Path, split: str | None = None) -> list[tuple[Dataset, Path]]:
    """Choose a file for each split.

    Args:
        splits: The splits of a data set.
        out: A ``.jsonl`` file for one split; anything else is a folder, which gets a file a split.
        split: Only this one.

    Raises:
        ConfigError: No such split, several for one file, or a file that exists.
    """
    if split is not None and split not in splits:
        raise ConfigError(f"no split {split!r}{suggest(split, splits)}; found: {', '.join(splits)}")
    chosen = {name: dataset for name, dataset in splits.items() if split in {None, name}}
    if out.is_dir() or (out.suffix != ".jsonl" and not out.exists()):
        outputs = [(dataset, out / f"{name}.jsonl") for name, dataset in chosen.items()]
    elif len(chosen) > 1:
        raise ConfigError(
            f"{', '.join(chosen)} do not fit into one file {out}: choose one with --split, or name a folder"
        )
    else:
        outputs = [(dataset, out) for dataset in chosen.values()]
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


def write_converted(dataset: Dataset, path: Path) -> None:
    """Write a split as JSONL, with pictures named relative to the file, so that it can be read back as it is.

    Raises:
        DataError: It cannot be written.
    """
    folder = path.parent.resolve()
    root = dataset.image_root

    def rename(example: Example) -> Example:
        # Without a folder of pictures there is nothing to be relative to: bare names, for a later --images.
        if root is None or not example.images:
            return example
        names = tuple(Path(os.path.relpath(root.resolve() / name, folder)).as_posix() for name in example.images)
        return example.model_copy(update={"images": names})

    write_jsonl(path, map(rename, dataset.examples))
