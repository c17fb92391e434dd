"""Pictures whose bytes stand in their rows as base64: written as files beside the posts, named by their content.

Prodigy, Argilla and Label Studio write ``data:image/png;base64,…``, and so do conversations for OpenAI's API; tables
for vision-language models often have the base64 alone. A file that is there already is the same picture.

Source: https://platform.openai.com/docs/guides/images (``image_url``), RFC 2397
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from instruct_mner.errors import DataError
from instruct_mner.images import check_image

FOLDER = "pictures"
"""Name of the folder of the pictures, beside the file of the posts."""

_URL = "data:"
_HEAD = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
# The first bytes of PNG, JPEG, GIF and WebP, as base64 writes them; no name of a file is as long.
_BARE = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR")
_LONGEST_NAME = 255
_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg"}


def is_inline(picture: str) -> bool:
    """Return whether what stands in the place of a picture's name is the picture."""
    if picture[: len(_URL)].lower() == _URL:
        return True
    return len(picture) > _LONGEST_NAME and picture.startswith(_BARE) and not re.search(r"[^\w+/=\s]", picture)


def with_short_pictures(value: object) -> object:
    """Return a row with the beginning of each picture whose bytes stand in it, by which it is one still.

    Args:
        value: Row, as JSON has it.
    """
    if isinstance(value, str):
        return value[: 2 * _LONGEST_NAME] if len(value) > 2 * _LONGEST_NAME and is_inline(value) else value
    if isinstance(value, dict):
        return {name: with_short_pictures(each) for name, each in value.items()}
    return [with_short_pictures(each) for each in value] if isinstance(value, list) else value


class InlinePictures:
    """Pictures of the rows of a file, which are put in their places together, or not at all.

    Args:
        folder: Folder of the file that is written; ``None`` for standard output, beside which no picture can be.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._beside: TemporaryDirectory[str] | None = None
        self._names: set[str] = set()
        self.num_homeless = self.num_unreadable = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._beside is not None:
            self._beside.cleanup()

    def keep(self, picture: str) -> str | None:
        """Keep a picture, and return its name from the folder of the posts; ``None`` where it is left out.

        Args:
            picture: Picture, for which :func:`is_inline` is true.

        Raises:
            DataError: It cannot be written.
        """
        content = _decoded(picture)
        if content is None:
            self.num_unreadable += 1
            return None
        if self._folder is None:
            self.num_homeless += 1
            return None
        try:
            form = check_image(content).format
        except DataError:
            self.num_unreadable += 1
            return None
        name = f"{hashlib.sha256(content).hexdigest()[:32]}{_SUFFIXES.get(form, f'.{form.lower()}')}"
        if name not in self._names:
            try:
                if self._beside is None:
                    self._beside = TemporaryDirectory(dir=self._folder, prefix=f".{FOLDER}.")
                (Path(self._beside.name) / name).write_bytes(content)
            except OSError as error:
                raise self._error(error) from None
            self._names.add(name)
        return f"{FOLDER}/{name}"

    def find(self, name: str) -> Path | None:
        """Return where a picture that is kept lies now; ``None`` of any other name."""
        base = name.removeprefix(f"{FOLDER}/")
        return None if self._beside is None or base not in self._names else Path(self._beside.name) / base

    def place(self) -> None:
        """Put the pictures in their places.

        Raises:
            DataError: They cannot be written there.
        """
        if self._beside is None or self._folder is None:
            return
        target = self._folder / FOLDER
        try:
            target.mkdir(exist_ok=True)
            for name in self._names:
                (Path(self._beside.name) / name).replace(target / name)
        except OSError as error:
            raise self._error(error) from None

    def lines(self, source: str) -> list[str]:
        """Return the lines for the user.

        Args:
            source: Name of the file that is read.
        """
        lines = []
        if self._names and self._folder is not None:
            lines.append(
                f"{source}: {len(self._names)} picture(s) whose bytes stand in the row are written into "
                f"{self._folder / FOLDER}"
            )
        if self.num_homeless:
            lines.append(
                f"{source}: left out: {self.num_homeless} picture(s) whose bytes stand in the row; name a file (-o), "
                "beside which they are written"
            )
        if self.num_unreadable:
            lines.append(
                f"{source}: left out: {self.num_unreadable} picture(s) whose bytes stand in the row and cannot be read"
            )
        return lines

    def _error(self, error: OSError) -> DataError:
        where = "" if self._folder is None else self._folder / FOLDER
        return DataError(f"{where}: pictures cannot be written: {error.strerror or error}; choose another output")


@contextmanager
def removed_on_failure(folder: Path) -> Iterator[None]:
    """Remove the pictures that are written within the block, where it fails.

    Args:
        folder: Folder of the file of the posts.
    """
    pictures = folder / FOLDER
    there = set(pictures.glob("*"))
    try:
        yield
    except BaseException:
        for picture in set(pictures.glob("*")) - there:
            picture.unlink(missing_ok=True)
        if not there:
            with suppress(OSError):
                pictures.rmdir()
        raise


def _decoded(picture: str) -> bytes | None:
    """Return the bytes of a picture; ``None`` where it is no base64."""
    head = _HEAD.match(picture)
    if head is None and picture[: len(_URL)].lower() == _URL:
        return None  # an SVG as text
    try:
        return base64.b64decode("".join(picture[head.end() if head else 0 :].split()), validate=True)
    except (binascii.Error, ValueError):
        return None
