"""Names of pictures in imported posts: relative to the written file, where the picture is there."""

from __future__ import annotations

import os
import re
from functools import cached_property
from itertools import islice
from pathlib import Path

from instruct_mner.data.dataset import PICTURE_SUFFIXES, find_picture

_MOST_FILES = 1_000_000
# Label Studio puts eight digits before the names of files that are uploaded.
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")


class PictureNamer:
    """Finder of the pictures of posts.

    Args:
        images: Folder of the pictures, as the user says; subfolders are looked through for those that are not in it.
        root: Folder in which pictures are looked for where the user says none.
        out: File that is written; ``None`` for standard output.
    """

    def __init__(self, images: Path | None, root: Path | None, out: Path | None) -> None:
        self._images, self._root = images, root
        self._folder = (Path.cwd() if out is None else out.parent).resolve()
        self.num_named = self.num_missing = self.num_below = 0

    def name(self, picture: str) -> str:
        """Return the name of a picture from the folder of the written file; of one that is not there, its own."""
        self.num_named += 1
        path = find_picture(self._images or self._root, picture)
        if path is None and self._images is not None:
            path = find_picture(self._images, Path(picture).name) or self._in_subfolder(Path(picture).name)
        if path is None and self._images is not None:
            path = find_picture(self._images, _UPLOADED.sub("", Path(picture).name))
        if path is None:
            self.num_missing += 1
            return picture
        return Path(os.path.relpath(path.resolve(), self._folder)).as_posix()

    def _in_subfolder(self, name: str) -> Path | None:
        """Return the only picture of this name in any subfolder; of two, none is guessed."""
        same = self._below.get(name, ())
        if len(same) != 1:
            return None
        self.num_below += 1
        return same[0]

    @cached_property
    def _below(self) -> dict[str, tuple[Path, ...]]:
        """Pictures in subfolders, by their names with and without the ending."""
        paths: dict[str, tuple[Path, ...]] = {}
        walked = (Path(folder, name) for folder, _, names in os.walk(self._images or ".") for name in names)
        for path in islice(walked, _MOST_FILES):
            if path.suffix.lower() in PICTURE_SUFFIXES:
                for name in {path.name, path.stem}:
                    paths[name] = (*paths.get(name, ()), path)
        return paths

    def lines(self, source: str) -> list[str]:
        """Return the lines for the user."""
        lines = []
        if self.num_below:
            lines.append(f"{source}: {self.num_below} of {self.num_named} pictures were found in subfolders of "
                         f"{self._images}, each the only one of its name there")  # fmt: skip
        if self.num_missing and self._images is not None:
            lines.append(f"{source}: {self.num_missing} of {self.num_named} pictures are not in {self._images}")
        return lines
