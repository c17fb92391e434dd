"""The formats that are known, and where the files of a data set lie."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from instruct_mner.data import cmner, conll, fmnerg, gmner, hub, jsonl, parquet
from instruct_mner.data.bio import is_tag
from instruct_mner.data.dataset import Reader
from instruct_mner.errors import ConfigError, DataError, suggest

Splits = dict[str, Path]
"""Files by the name of their split."""


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        reader: Reads one split of it.
        splits: Where the splits of a folder lie, with ``{}`` for the name of the split; or what finds them, where a
            split is not simply a file.
    """

    reader: Reader
    splits: str | Callable[[Path], Splits]


FORMATS = {
    "conll": Format(conll.read, "{}.txt"),
    "gmner": Format(gmner.read, "txt/{}.txt"),
    "fmnerg": Format(fmnerg.read, "{}.txt"),
    "cmner": Format(cmner.read, "{}.txt"),
    "jsonl": Format(jsonl.read, "{}.jsonl"),
    "parquet": Format(parquet.read, "{}.parquet"),
    "hub": Format(hub.read, hub.find_splits),
}
"""All known formats; a new one is a file with a reader and a line here."""

_SPLIT_NAMES = {"train": ("train",), "dev": ("dev", "valid"), "test": ("test",)}
_HEAD_CHARACTERS = 1 << 16


def find_files(data: str) -> tuple[str, Splits]:
    """The format of DATA, named or sniffed, and its files by split.

    Raises:
        ConfigError: An unknown format.
        DataError: No such file, or a folder without splits.
    """
    form, path = _parse(data)
    if form is not None and not isinstance(splits := FORMATS[form].splits, str):
        return form, splits(path)
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder; check the path")
    if path.is_dir():
        return _splits_of(path, form)
    return form or _sniff(path), {path.stem: path}


def _parse(data: str) -> tuple[str | None, Path]:
    prefix, colon, rest = data.partition(":")
    # Two letters at least: one is a drive.
    if not colon or not re.fullmatch(r"[A-Za-z]\w+", prefix) or Path(data).exists():
        return None, Path(data)
    if prefix not in FORMATS:
        raise ConfigError(f"{data}: unknown format {prefix!r}{suggest(prefix, FORMATS)}; known: {', '.join(FORMATS)}")
    return prefix, Path(rest)


def _sniff(path: Path) -> str:
    if path.suffix in {".jsonl", ".parquet"}:
        return path.suffix.removeprefix(".")
    if path.suffix == ".txt":
        return _sniff_columns(path)
    raise ConfigError(
        f"{path}: the format cannot be told from the name; write FORMAT:{path}, with {', '.join(FORMATS)}"
    )


def _sniff_columns(path: Path) -> str:
    """Which of the formats with columns it is: only the content tells, all of them are ``.txt``."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            lines = file.read(_HEAD_CHARACTERS).split("\n")
    except OSError:
        return "conll"  # whose reader says why it cannot be read
    first = next((line.lstrip(" ") for line in lines if line.strip(" ")), "")
    if first.startswith(f"{cmner.HEADER}:"):
        return "cmner"
    row = next((line.split("\t") for line in lines if "\t" in line), [])
    if len(row) == len(fmnerg.COLUMNS) and all(map(is_tag, row[1:])):
        return "fmnerg"
    # Read as CoNLL, the boxes of a GMNER split would be lost without a word.
    return "gmner" if path.parent.name == "txt" and (path.parent.parent / "xml").is_dir() else "conll"


def _splits_of(folder: Path, form: str | None) -> tuple[str, Splits]:
    patterns = {name: known.splits for name, known in FORMATS.items() if isinstance(known.splits, str)}
    if form is not None:
        patterns = {form: patterns[form]}
    found: dict[str, Splits] = {}
    for name, pattern in patterns.items():
        files = _files_of(folder, pattern)
        if files:
            shares = form is None and pattern == FORMATS["conll"].splits
            found[_sniff(next(iter(files.values()))) if shares else name] = files
    if not found:
        wanted = " or ".join(dict.fromkeys(pattern.format("train|dev|valid|test") for pattern in patterns.values()))
        raise DataError(f"{folder}: no split found; a folder holds {wanted}; anything else is named file by file")
    if len(found) > 1:
        choices = ", ".join(f"{name}:{folder}" for name in found)
        raise ConfigError(f"{folder} holds splits in several formats; write one of {choices}")
    return found.popitem()


def _files_of(folder: Path, pattern: str) -> Splits:
    files: Splits = {}
    for split, known in _SPLIT_NAMES.items():
        there = [path for name in known if (path := folder / pattern.format(name)).is_file()]
        if len(there) > 1:
            names = " and ".join(path.name for path in there)
            raise ConfigError(f"{folder}: {names} are both its {split}; take one out")
        if there:
            files[split] = there[0]
    return files
