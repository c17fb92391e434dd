"""The formats that are known, and where the files of a data set lie."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from instruct_mner.data import cmner, conll, fmnerg, gmner, hub, jsonl, parquet, standard_input
from instruct_mner.data.dataset import Reader
from instruct_mner.data.unread import check_format
from instruct_mner.errors import ConfigError, DataError, suggest

Splits = dict[str, Path]
"""Files by the name of their split."""


@dataclass(frozen=True)
class DataFormat:
    """A file format.

    Attributes:
        reader: Reader of one split.
        splits: Path of a split in a folder, with ``{}`` for the name of the split; or the function that finds the
            splits, where a split is not simply a file.
        others: Further paths of the kind, which are tried too.
    """

    reader: Reader
    splits: str | Callable[[Path], Splits]
    others: tuple[str, ...] = ()


FORMATS = {
    "conll": DataFormat(conll.read, "{}.txt", ("{}.conll", "{}.bio", "{}.tsv", "{}.iob", "{}.iob2")),
    "gmner": DataFormat(gmner.read, "txt/{}.txt"),
    "fmnerg": DataFormat(fmnerg.read, "{}.txt"),
    "cmner": DataFormat(cmner.read, "{}.txt"),
    "jsonl": DataFormat(jsonl.read, "{}.jsonl"),
    "parquet": DataFormat(parquet.read, "{}.parquet"),
    "hub": DataFormat(hub.read, hub.find_splits),
}
"""All known formats; a new one is a file with a reader and a line here."""

SPLIT_NAMES = {"train": ("train",), "dev": ("dev", "valid", "val", "validation"), "test": ("test",)}
"""Names of files by the split that they hold; in every format, on the hub too."""
COLUMN_SUFFIXES = frozenset({".txt", ".conll", ".bio", ".tsv", ".iob", ".iob2"})
SPLITS = "|".join(name for names in SPLIT_NAMES.values() for name in names)
_HEAD_CHARACTERS = 1 << 16
_MOST_NAMED = 5
_DATA_SUFFIXES = COLUMN_SUFFIXES | {".json", ".jsonl", ".csv", ".parquet", ".xlsx", ".arrow"}


def split_of(name: str) -> str | None:
    """Return the split that a name stands for, in capitals or not; ``None`` for any other name."""
    return next((split for split, names in SPLIT_NAMES.items() if name.lower() in names), None)


def find_files(data: str) -> tuple[str, Splits]:
    """Return the format of DATA, named or told by the content, and its files by split.

    ``-`` is standard input, of JSONL where no format is named.

    Raises:
        ConfigError: An unknown format.
        DataError: No such file, or a folder without splits.
    """
    form, path = _parse(data)
    if str(path) == standard_input.NAME and not path.exists():
        path = standard_input.spooled()
    if form is not None and not isinstance(splits := FORMATS[form].splits, str):
        return form, splits(path)
    if not path.exists():
        as_text = "; a text is given by --text" if " " in data else ""
        raise DataError(f"{path}: there is no such file or folder; check the path{as_text}")
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
    check_format(path)
    suffix = path.suffix.lower()
    if suffix in {".jsonl", ".parquet"}:
        return suffix.removeprefix(".")
    if suffix in COLUMN_SUFFIXES:
        return _sniff_columns(path)
    raise ConfigError(
        f"{path}: the format cannot be told from the name; write FORMAT:{path}, with {', '.join(FORMATS)}, or turn it "
        f"into JSONL: {_import_of(path)}"
    )


def _import_of(path: Path) -> str:
    return f"instruct-mner import {quote(str(path))} -o posts.jsonl"


def _sniff_columns(path: Path) -> str:
    """Return the format with columns of a file: only the content tells."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            lines = file.read(_HEAD_CHARACTERS).split("\n")
    except OSError:
        return "conll"  # whose reader says why it cannot be read
    first = next((line.lstrip(" ") for line in lines if line.strip(" ")), "")
    if first.startswith(f"{cmner.HEADER}:"):
        return "cmner"
    if fmnerg.is_fmnerg([line.removesuffix("\r") for line in lines[:-1] or lines]):
        return "fmnerg"
    # Read as CoNLL, the boxes of a GMNER split would be lost without a word.
    return "gmner" if path.parent.name == "txt" and (path.parent.parent / "xml").is_dir() else "conll"


def _splits_of(folder: Path, form: str | None) -> tuple[str, Splits]:
    patterns = {name: known.splits for name, known in FORMATS.items() if isinstance(known.splits, str)}
    if form is not None:
        patterns = {form: patterns[form]}
    by_format: dict[str, Splits] = {}
    for name, pattern in patterns.items():
        files = _files_of(folder, (pattern, *FORMATS[name].others))
        if files:
            shares = form is None and pattern == FORMATS["conll"].splits
            by_format[_sniff(next(iter(files.values()))) if shares else name] = files
    if not by_format:
        known = (pattern for name in patterns for pattern in (patterns[name], *FORMATS[name].others))
        endings: dict[str, dict[str, None]] = {}
        for place, _, ending in (pattern.partition("{}") for pattern in known):
            endings.setdefault(place, {})[ending] = None
        wanted = " or ".join(f"{place}{SPLITS} with {', '.join(each)}" for place, each in endings.items())
        hub_name = f", or as a data set of Hugging Face, hub:{folder}" if _may_be_of_hub(folder) else ""
        brat = f", or, from brat, turned into JSONL: {_import_of(folder)}" if any(folder.rglob("*.ann")) else ""
        raise DataError(
            f"{folder}: no split found; a folder holds {wanted}; anything else is named file by file{hub_name}{brat}"
        )
    if len(by_format) > 1:
        choices = ", ".join(f"{name}:{folder}" for name in by_format)
        raise ConfigError(f"{folder} holds splits in several formats; write one of {choices}")
    return by_format.popitem()


def _may_be_of_hub(folder: Path) -> bool:
    """Return true for a folder as ``datasets`` writes it, or as one of the hub is laid out."""
    marks = ("dataset_dict.json", "state.json", "*.parquet", "*/*.parquet", "*.arrow")
    return any(path.is_file() for mark in marks for path in folder.glob(mark))


def _files_of(folder: Path, patterns: Sequence[str]) -> Splits:
    files: Splits = {}
    for split, known in SPLIT_NAMES.items():
        there = [path for pattern in patterns for name in known if (path := folder / pattern.format(name)).is_file()]
        if len(there) > 1:
            names = " and ".join(path.name for path in there)
            raise ConfigError(f"{folder}: {names} are both its {split}; take one out")
        if there:
            files[split] = there[0]
    return files


def _may_be_data(path: Path, places: set[Path]) -> bool:
    """Return true for what is not read and may be meant as data: by its ending, or by the name of a split."""
    if path in places or (path.name.startswith(".") and path.is_dir()):
        return False
    named = split_of(path.name.partition(".")[0]) is not None
    return named if path.is_dir() else named or path.suffix.lower() in _DATA_SUFFIXES


def left_out_of_folder(data: str, files: Splits) -> tuple[str, ...]:
    """Name the files of data in a folder that are no split of it, so that nothing is left out in silence."""
    form, folder = _parse(data)
    if not folder.is_dir() or not files or form == "hub":
        return ()
    taken = {path.resolve() for path in files.values()}
    places = {folder, *(path.parent for path in files.values() if path.is_file())}
    others = sorted(
        path.relative_to(folder).as_posix()
        for place in places
        for path in place.iterdir()
        if path.resolve() not in taken and _may_be_data(path, places)
    )
    if not others:
        return ()
    named = ", ".join(others[:_MOST_NAMED]) + (f" and {len(others) - _MOST_NAMED} more" if others[_MOST_NAMED:] else "")
    read = ", ".join(path.name for path in files.values())
    return (f"{folder}: {named} is not read, {read} is; splits are called {SPLITS}, others are named as files",)
