"""Data sets: files of any known format to ``Example`` records.

DATA is a path, or ``format:path``: ``conll:``, ``gmner:``, ``jsonl:``. A folder holds splits (``train``,
``dev`` or ``valid``, ``test``); a file is one split.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from instruct_mner.data import conll, gmner, jsonl
from instruct_mner.data.bio import Decode
from instruct_mner.data.dataset import Dataset, MissingImage, Reader, Reading
from instruct_mner.data.jsonl import write_jsonl
from instruct_mner.errors import ConfigError, DataError, listing, suggest

__all__ = [
    "FORMATS", "Dataset", "Decode", "Format", "MissingImage", "Reading",
    "find_files", "load", "load_split", "read", "write_jsonl",
]  # fmt: skip


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        reader: Reads one file of it.
        splits: Where the splits of a folder lie, with ``{}`` for the name of the split.
    """

    reader: Reader
    splits: str


FORMATS = {
    "conll": Format(conll.read, "{}.txt"),
    "gmner": Format(gmner.read, "txt/{}.txt"),
    "jsonl": Format(jsonl.read, "{}.jsonl"),
}
"""All known formats; a new one is a file with a reader and a line here."""

_SPLITS = {"train": ("train",), "dev": ("dev", "valid"), "test": ("test",)}


def load(
    data: str,
    *,
    images: Path | None = None,
    decode: Decode = "tolerant",
    missing_image: MissingImage = "error",
) -> dict[str, Dataset]:
    """Loads a data set.

    Args:
        data: A path or ``format:path``; a folder gives all of its splits, a file one.
        images: Folder of the pictures; without it, where the format usually has them.
        decode: How BIO tags become entities.
        missing_image: What to do with posts whose pictures are not there: ``error``; ``text``: keep them as
            text, without boxes; ``skip``: leave them out; ``keep``: leave them as they are annotated, for
            work that opens no picture.

    Returns:
        The splits by name, in the order train, dev, test; a file's name is its stem.

    Raises:
        ConfigError: An unknown format, or no such folder of pictures.
        DataError: Anything wrong in the files; all of it at once.
    """
    readings = read(data, images=images, decode=decode)
    problems = [problem for reading in readings.values() for problem in reading.problems]
    if missing_image == "error":
        reports = [reading.dataset.missing_report() for reading in readings.values()]
        problems += [report for report in reports if report]
    if problems:
        raise DataError(f"{data} cannot be used, {len(problems)} problem(s):\n{listing(problems)}")
    return {split: reading.dataset.without_missing(missing_image) for split, reading in readings.items()}


def load_split(
    data: str,
    *,
    images: Path | None = None,
    decode: Decode = "tolerant",
    missing_image: MissingImage = "error",
) -> Dataset:
    """Loads one split: a file, or a folder that holds one. Arguments and errors as of ``load``."""
    form, files = find_files(data)
    if len(files) > 1:
        names = ", ".join(f"{form}:{path}" for path in files.values())
        raise ConfigError(f"{data} holds several splits; name one of them: {names}")
    [path] = files.values()
    [dataset] = load(f"{form}:{path}", images=images, decode=decode, missing_image=missing_image).values()
    return dataset


def read(data: str, *, images: Path | None = None, decode: Decode = "tolerant") -> dict[str, Reading]:
    """Reads a data set with whatever is wrong in it, for who wants to report rather than to fail.

    Raises:
        ConfigError: An unknown format, or no such folder of pictures.
        DataError: No such file, or a folder without splits.
    """
    form, files = find_files(data)
    readings = {}
    for split, path in files.items():
        reading = FORMATS[form].reader(path, images=images, decode=decode)
        folder = reading.dataset.name.rpartition("/")[0]
        readings[split] = replace(reading, dataset=replace(reading.dataset, name=f"{folder}/{split}"))
    return readings


def find_files(data: str) -> tuple[str, dict[str, Path]]:
    """The format of DATA, named or sniffed, and its files by split.

    Raises:
        ConfigError: An unknown format.
        DataError: No such file, or a folder without splits.
    """
    form, path = _parse(data)
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder")
    if path.is_dir():
        return _splits_of(path, form)
    return form or _sniff(path), {path.stem: path}


def _parse(data: str) -> tuple[str | None, Path]:
    prefix, colon, rest = data.partition(":")
    # Two letters at least: one is a drive.
    if not colon or not re.fullmatch(r"[A-Za-z]\w+", prefix) or Path(data).exists():
        return None, Path(data)
    if prefix not in FORMATS:
        raise ConfigError(
            f"{data}: unknown format {prefix!r}{suggest(prefix, FORMATS)}; known: {', '.join(FORMATS)}"
        )
    return prefix, Path(rest)


def _sniff(path: Path) -> str:
    if path.suffix == ".jsonl":
        return "jsonl"
    if path.suffix == ".txt":
        # Read as CoNLL, the boxes of a GMNER split would be lost without a word.
        return "gmner" if path.parent.name == "txt" and (path.parent.parent / "xml").is_dir() else "conll"
    raise ConfigError(
        f"{path}: the format cannot be told from the name; write FORMAT:{path}, with {', '.join(FORMATS)}"
    )


def _splits_of(folder: Path, form: str | None) -> tuple[str, dict[str, Path]]:
    found = {}
    for name in [form] if form else list(FORMATS):
        files = _files_of(folder, name)
        if files:
            found[name] = files
    if not found:
        forms = [form] if form else list(FORMATS)
        wanted = " or ".join(FORMATS[name].splits.format("train|dev|valid|test") for name in forms)
        raise DataError(
            f"{folder}: no split found; a folder holds {wanted}; anything else is named file by file"
        )
    if len(found) > 1:
        choices = ", ".join(f"{name}:{folder}" for name in found)
        raise ConfigError(f"{folder} holds splits in several formats; write one of {choices}")
    return found.popitem()


def _files_of(folder: Path, form: str) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for split, names in _SPLITS.items():
        there = [path for name in names if (path := folder / FORMATS[form].splits.format(name)).is_file()]
        if len(there) > 1:
            raise ConfigError(
                f"{folder}: {' and '.join(path.name for path in there)} are both its {split}; take one out"
            )
        if there:
            files[split] = there[0]
    return files
