"""Models that are made into ordinary folders once on a machine, in the cache: whole, or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from instruct_mner.console import working
from instruct_mner.errors import ModelError

CACHE_VARIABLE = "INSTRUCT_MNER_CACHE"


def cache_folder() -> Path:
    """Return where prepared models are kept.

    ``$INSTRUCT_MNER_CACHE``, or else ``instruct-mner`` in ``$XDG_CACHE_HOME``, by default ``~/.cache``.
    """
    own = os.environ.get(CACHE_VARIABLE)
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "instruct-mner"


def prepared(name: str, folder_name: str, prepare: Callable[[Path], None]) -> Path:
    """Return the folder of a model in the cache, which is made at the first call on a machine.

    Args:
        name: Name of the model, for messages.
        folder_name: Name of its folder, another one for other weights.
        prepare: Function that writes the model into a folder, which it makes.

    Raises:
        ModelError: The folder cannot be written.
    """
    folder = cache_folder() / folder_name
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Beside its place and moved there whole: a folder that exists is a model.
        with (
            tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as beside,
            working(f"preparing {name} in {folder.parent}, once on this machine"),
        ):
            unfinished = Path(beside) / folder.name
            prepare(unfinished)
            _move(unfinished, folder)
    except OSError as error:
        raise ModelError(
            f"model {name} cannot be prepared in {folder.parent}: {error}; name another folder in {CACHE_VARIABLE}"
        ) from error
    return folder


def _move(unfinished: Path, folder: Path) -> None:
    """Put the folder in its place; where another process was faster, its own is as good."""
    try:
        unfinished.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
