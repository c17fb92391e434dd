"""Folder of the demo: what an earlier demo made there is replaced, everything else is left alone."""

from __future__ import annotations

import shutil
from pathlib import Path

from instruct_mner.errors import ConfigError
from instruct_mner.files import check_place, replacing

MARKER = ".made-by-instruct-mner-demo"
_MADE = ("data", "run", "predictions", "index.html")


def check_demo_folder(folder: Path) -> None:
    """Refuse a folder that the demo cannot use.

    Raises:
        ConfigError: It cannot be made, is a file, or holds something that no demo made.
    """
    check_place(folder)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--output {folder} is a file; name a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise ConfigError(f"--output {folder} holds something that no demo made; choose another folder (--output DIR)")


def clear_demo_folder(folder: Path) -> None:
    """Make the folder, or empty it of what an earlier demo made.

    Raises:
        ConfigError: See :func:`check_demo_folder`.
    """
    check_demo_folder(folder)
    for name in _MADE:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    with replacing(folder / MARKER) as file:
        file.write("'instruct-mner demo' replaces in this folder: " + ", ".join(_MADE) + "\n")
