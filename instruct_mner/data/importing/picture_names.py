"""Names of pictures in imported posts: relative to the written file, where the picture is there."""

from __future__ import annotations

import os
import re
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import unquote, urlsplit

from instruct_mner.data.importing.inline_pictures import InlinePictures, is_inline
from instruct_mner.data.picture_files import PICTURE_SUFFIXES, find_picture
from instruct_mner.files import is_file

_MOST_FILES = 1_000_000
# Label Studio puts eight digits before the names of files that are uploaded.
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")
_LOCAL_STORAGE = re.compile(r"(?:^|/)data/local-files/\?(?:[^#]*&)?d=([^&#]+)")


class FileNames:
    """Names of files in the place of addresses and of paths of other machines; two pictures never share one."""

    def __init__(self) -> None:
        self._places: dict[str, str] = {}

    def name(self, picture: str) -> str:
        """Return a path as it is, as the bytes of a picture, and of an address or a path of another machine its name.

        Raises:
            ValueError: It has no name, or that of another picture.
        """
        if is_inline(picture):
            return picture
        path = of_local_storage(picture)
        name = _file_name(path)
        if name == picture:
            return picture
        if not name:
            raise ValueError(f"picture {picture[:80]!r} is an address without the name of a file; write its name")
        # Behind the name of a picture stands a size or a signature; behind another name, what tells pictures apart.
        place = picture.partition("?")[0] if path == picture and name.lower().endswith(PICTURE_SUFFIXES) else picture
        other = self._places.setdefault(name, place)
        if other != place:
            raise ValueError(
                f"pictures {other[:80]!r} and {place[:80]!r} would both be called {name!r}; save them under names of "
                "their own and write these, or carry the column along (--column meta=NAME)"
            )
        return name

    def lines(self, source: str) -> list[str]:
        """Return the lines for the user."""
        first = next(iter(self._places.items()), None)
        if first is None:
            return []
        return [
            f"{source}: {len(self._places)} picture(s) are named by an address or a path of another machine: the name "
            f"of the file is kept ({first[1][:80]!r} is {first[0]!r}), and nothing is fetched"
        ]


def of_local_storage(picture: str) -> str:
    """Return the path of a picture in Label Studio's local storage; any other name as it is.

    Source: https://labelstud.io/guide/storage (``/data/local-files/?d=pics/7.jpg``)
    """
    match = _LOCAL_STORAGE.search(picture)
    return picture if match is None else unquote(match.group(1))


def _file_name(picture: str) -> str:
    if "://" in picture:
        return PurePosixPath(unquote(urlsplit(picture).path)).name
    if "\\" in picture:
        return PureWindowsPath(picture).name
    return PurePosixPath(picture.partition("?")[0]).name if picture.startswith("/") else picture


class PictureNamer:
    """Finder of the pictures of posts.

    Args:
        images: Folder of the pictures, as the user says; subfolders are looked through for those that are not in it.
        root: Folder in which pictures are looked for where the user says none.
        out: File that is written; ``None`` for standard output.
        inline: Pictures whose bytes stand in the rows, where there may be some.
    """

    def __init__(
        self, images: Path | None, root: Path | None, out: Path | None, inline: InlinePictures | None = None
    ) -> None:
        self._images, self._root, self._inline = images, root, inline or InlinePictures(None)
        self._folder = (Path.cwd() if out is None else out.parent).resolve()
        self._found_below: set[Path] = set()
        self.num_named = self.num_missing = self.num_below = 0

    def name(self, picture: str) -> str:
        """Return the name of a picture from the folder of the written file; of one that is not there, its own."""
        if self._inline.find(picture) is not None:
            return picture
        self.num_named += 1
        path = self.find(picture)
        if path is None:
            self.num_missing += 1
            return picture
        self.num_below += path in self._found_below
        return Path(os.path.relpath(path.resolve(), self._folder)).as_posix()

    def find(self, picture: str) -> Path | None:
        """Return the file of a picture; ``None`` where it is not there."""
        path = self._inline.find(picture) or find_picture(self._images or self._root, picture)
        if path is not None or self._images is None:
            return path
        name = Path(picture).name
        return (
            find_picture(self._images, name)
            or self._in_subfolder(name)
            or find_picture(self._images, _UPLOADED.sub("", name))
        )

    def _in_subfolder(self, name: str) -> Path | None:
        """Return the only picture of this name in any subfolder; of two, none is guessed."""
        same = self._below.get(name, ())
        if len(same) != 1:
            return None
        self._found_below.add(same[0])
        return same[0]

    @cached_property
    def _below(self) -> dict[str, tuple[Path, ...]]:
        """Pictures in subfolders, by their names with and without the ending."""
        paths: dict[str, tuple[Path, ...]] = {}
        walked = (Path(folder, name) for folder, _, names in os.walk(self._images or ".") for name in names)
        for path in islice(walked, _MOST_FILES):
            if path.suffix.lower() in PICTURE_SUFFIXES and is_file(path):
                for name in {path.name, path.stem}:
                    paths[name] = (*paths.get(name, ()), path)
        return paths

    def lines(self, source: str) -> list[str]:
        """Return the lines for the user."""
        lines = []
        if self.num_below:
            lines.append(f"{source}: {self.num_below} of {self.num_named} pictures were found in subfolders of "
                         f"{self._images}, each the only one of its name there")  # fmt: skip
        if self.num_missing:
            place = f"in {self._images}" if self._images is not None else "there; name their folder with --images DIR"
            lines.append(f"{source}: {self.num_missing} of {self.num_named} pictures are not {place}")
        return lines
