"""Files of pictures: where the picture of a name is, however it is written, and where else it may be."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path

from instruct_mner.files import is_file

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
"""Endings of the names of pictures, in the order in which they are tried; each in capitals too."""
# Folders in which a missing picture is looked for: more are not listed.
_MOST_FOLDERS = 200


def find_picture(root: Path | None, name: str) -> Path | None:
    """Return the file of a picture, or ``None`` where there is none.

    A name without the ending of a picture is tried with each: many sets name pictures by ids. One that differs in case,
    or in the form of its accents, from a single file is that file's: archives and file systems change both. Of two
    files none is guessed.
    """
    if root is None or not name:
        return None
    path = root / name
    if is_file(path):
        return path
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        files = _with_endings(root, name)
        return files[0] if len(files) == 1 else None
    return _same_name(path)


def picture_name(identifier: str, root: Path | None, *, supposed_suffix: bool = True) -> str:
    """Return the file name of the picture of a post that is named by its id.

    Args:
        identifier: The id.
        root: Folder of the pictures.
        supposed_suffix: True to suppose ``.jpg`` where there is no picture of any suffix.
    """
    path = find_picture(root, identifier)
    if path is None or root is None:
        suppose = supposed_suffix and (root is None or not _with_endings(root, identifier))
        return f"{identifier}{PICTURE_SUFFIXES[0]}" if suppose else identifier
    return path.relative_to(root).as_posix()


def _with_endings(root: Path, name: str) -> list[Path]:
    """Return the files of a name with each ending of a picture; where case does not matter, one file has two names."""
    endings = (ending for suffix in PICTURE_SUFFIXES for ending in (suffix, suffix.upper()))
    files = [file for ending in endings if is_file(file := root / f"{name}{ending}")]
    return [file for number, file in enumerate(files) if not any(map(file.samefile, files[:number]))]


def _same_name(path: Path) -> Path | None:
    """Return the only file whose name differs in case or in the form of its accents alone (NFC, NFD)."""
    try:
        changed = path.parent.stat().st_mtime_ns
    except OSError:
        return None
    same = _names_in(path.parent, changed).get(_folded(path.name), ())
    return path.parent / same[0] if len(same) == 1 else None


@lru_cache(maxsize=64)
def _names_in(folder: Path, _changed: int) -> dict[str, tuple[str, ...]]:
    """Return the files of a folder by what their names have in common; listed again where the folder has changed."""
    names: dict[str, tuple[str, ...]] = {}
    with os.scandir(folder) as entries:
        files = sorted(entry.name for entry in entries if is_file(Path(entry.path)))
    for name in files:
        names[_folded(name)] = (*names.get(_folded(name), ()), name)
    return names


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def other_folder(missing: Sequence[str], root: Path | None, beside: Path) -> Path | None:
    """Return a folder near by in which missing pictures are, for a hint; ``None`` where there is none.

    Args:
        missing: Names of missing pictures.
        root: Folder in which they are not.
        beside: File of the posts.
    """
    for folder in _near(root, beside.parent):
        if folder != root and all(find_picture(folder, name) for name in missing):
            return folder
    return None


def _near(root: Path | None, beside: Path) -> Iterator[Path]:
    for folder in (root, beside):
        if folder is not None:
            yield folder.parent
            yield folder
            try:
                with os.scandir(folder) as entries:
                    yield from (Path(entry.path) for entry in islice(entries, _MOST_FOLDERS) if entry.is_dir())
            except OSError:
                continue
