"""Posts for tagging: of a file that is read as it is needed, or of a data set in memory."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np

from instruct_mner.data import jsonl, parquet
from instruct_mner.data.broken_pictures import PictureChecks, look_at
from instruct_mner.data.dataset import Dataset
from instruct_mner.data.missing_pictures import missing_report, none_left
from instruct_mner.data.picture_files import find_picture
from instruct_mner.data.problem_groups import ProblemGroups
from instruct_mner.data.rows import Row, Rows, file_sha256, no_post, picture_root, repeated_id
from instruct_mner.errors import DataError, listing
from instruct_mner.schema.choices import MissingImage
from instruct_mner.schema.records import Example

STREAMED: dict[str, Rows] = {"jsonl": jsonl.rows, "parquet": parquet.rows}
"""Formats that are read row by row."""


class Posts(Protocol):
    """Posts that are tagged; may be sent to other processes.

    Attributes:
        sha256: Hash of all that they were made from.
        num_posts: Number of posts.
        pictures_sha256: Hash of the contents of the pictures; ``None`` where they were not opened.
        notes: Lines for the user on the pictures and the posts.
    """

    @property
    def sha256(self) -> str: ...  # noqa: D102

    @property
    def pictures_sha256(self) -> str | None: ...  # noqa: D102

    @property
    def notes(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def num_posts(self) -> int: ...  # noqa: D102

    def posts(self, first: int = 0) -> Iterator[Example]:
        """Yield the posts from one on, counted from 0, in their order."""

    def picture_paths(self, example: Example) -> Sequence[Path]:
        """Return the files of the pictures that a post is shown with."""


@dataclass(frozen=True)
class HeldPosts:
    """Posts of a data set in memory; ``pictures`` says which they are shown with."""

    dataset: Dataset
    pictures: Callable[[Example], Sequence[Path]]

    @property
    def sha256(self) -> str:
        """Of the data set."""
        return self.dataset.sha256

    @property
    def pictures_sha256(self) -> str | None:
        """Of the data set."""
        return self.dataset.pictures_sha256

    @property
    def notes(self) -> tuple[str, ...]:
        """Of the data set."""
        return self.dataset.notes

    @property
    def num_posts(self) -> int:
        """Of the data set."""
        return len(self.dataset.examples)

    def posts(self, first: int = 0) -> Iterator[Example]:
        """Yield the posts from one on."""
        return iter(self.dataset.examples[first:])

    def picture_paths(self, example: Example) -> Sequence[Path]:
        """Return the files of its pictures."""
        return self.pictures(example)


@dataclass(frozen=True)
class StreamedPosts:
    """Posts of a file that was looked through once, and is read again as they are needed.

    Attributes:
        path: The file.
        form: A key of ``STREAMED``.
        sha256: Hash of the file.
        num_posts: Posts, without those that are left out because a picture is missing.
        image_root: Folder of the pictures.
        missing_image: Treatment of posts whose pictures are not there.
        show_pictures: True where posts are shown with their pictures.
        every: Posts between two marks.
        marks: Position in the file of every so manieth post.
        broken: Names of pictures that cannot be opened.
        pictures_sha256: Hash of the contents of the pictures; ``None`` where none is shown.
        notes: Lines for the user on the pictures.
    """

    path: Path
    form: str
    sha256: str
    num_posts: int
    image_root: Path | None
    missing_image: MissingImage
    show_pictures: bool
    every: int
    marks: Sequence[int] = field(repr=False)
    broken: frozenset[str] = frozenset()
    pictures_sha256: str | None = None
    notes: tuple[str, ...] = ()

    def posts(self, first: int = 0) -> Iterator[Example]:
        """Yield the posts from one on."""
        if first >= self.num_posts:
            return
        rows = STREAMED[self.form](self.path, self.marks[first // self.every])
        kept = (example for row in rows if (example := self._kept(row)) is not None)
        yield from islice(kept, first % self.every, None)

    def picture_paths(self, example: Example) -> Sequence[Path]:
        """Return the files of its pictures."""
        root = self.image_root
        if root is None or not self.show_pictures:
            return ()
        return tuple(find_picture(root, name) or root / name for name in example.images)

    def _kept(self, row: Row) -> Example | None:
        if row.example is None:
            raise DataError(f"{self.path} has changed while it was read:\n{listing(row.problems)}")
        return _treated(row.example, self.image_root, self.missing_image, self.broken)


def _treated(example: Example, root: Path | None, how: MissingImage, broken: Container[str]) -> Example | None:
    """Return the post after its missing pictures were treated as ``without_missing`` does; ``None``: left out."""
    if how in {"error", "keep"} or all(_is_there(root, name) and name not in broken for name in example.images):
        return example
    return None if how == "skip" else example.without_images()


def _is_there(root: Path | None, name: str) -> bool:
    return find_picture(root, name) is not None


def look_through(
    path: Path, form: str, *, images: Path | None, missing_image: MissingImage, show_pictures: bool, every: int
) -> StreamedPosts:
    """Read a file once, so that all its problems are reported before a model is loaded; few rows are held at once.

    Args:
        path: The file.
        form: A key of ``STREAMED``.
        images: Folder of the pictures; without it, that of the file.
        missing_image: Treatment of posts whose pictures are not there, as in ``load``.
        show_pictures: True to show posts with their pictures.
        every: Number of posts between two places from which the file can be read.

    Raises:
        ConfigError: There is no such folder of pictures.
        DataError: Anything wrong in the file; all of it at once.
    """
    root = picture_root(path, images)
    seen = _Seen(root, open_pictures=show_pictures and missing_image != "keep")
    marks, num_posts, problems = array("q"), 0, ProblemGroups()
    for row in STREAMED[form](path, 0):
        problems.add_all(row.problems)
        if row.example is None:
            continue
        seen.add(row.example)
        if _treated(row.example, root, missing_image, seen.checks.broken) is not None:
            if num_posts % every == 0:
                marks.append(row.position)
            num_posts += 1
    problems.add_all(seen.repeated(path, form))
    if not seen.ids and not problems:
        problems.add(no_post(path, form))
    missing = None if missing_image == "keep" else seen.missing_report(path, missing_image)
    if missing_image == "error" and missing is not None:
        problems.add(missing)
    report = seen.checks.report(path)
    if missing_image == "error" and report is not None:
        problems.add(report)
    problems.stop(str(path), of_posts=True)
    if not num_posts:
        raise DataError(none_left(path, seen.num_missing + len(seen.checks.broken)))
    told = () if missing is None else (missing,)
    return StreamedPosts(
        path,
        form,
        file_sha256(path),
        num_posts,
        root,
        missing_image,
        show_pictures,
        every,
        marks,
        frozenset(seen.checks.broken),
        seen.checks.sha256 if show_pictures else None,
        (*told, *seen.checks.notes(path, missing_image)),
    )


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


class _Seen:
    """Eight bytes for the id of every post, and for each name of a picture; and what pictures are when opened."""

    def __init__(self, root: Path | None, *, open_pictures: bool) -> None:
        self._root = root
        self._open_pictures = open_pictures
        self.checks = PictureChecks()
        self.ids = array("Q")
        self._named, self._missing = array("Q"), array("Q")
        self._first_missing: list[str] = []

    def add(self, example: Example) -> None:
        self.ids.append(_hash(example.id))
        for name in example.images:
            self._named.append(_hash(name))
            path = find_picture(self._root, name)
            if path is not None and self._open_pictures:
                self.checks.add(name, example.id, look_at(path))
            elif path is None:
                self._missing.append(_hash(name))
                if len(self._first_missing) <= 3 and name not in self._first_missing:
                    self._first_missing.append(name)

    @property
    def num_missing(self) -> int:
        """Pictures that are not there, each counted once."""
        return len(np.unique(np.asarray(self._missing)))

    def missing_report(self, path: Path, how: MissingImage) -> str | None:
        """Return the message of ``Dataset.missing_report``."""
        if not self._missing:
            return None
        num_named = len(np.unique(np.asarray(self._named)))
        return missing_report(path, self.num_missing, num_named, self._first_missing, self._root, how)

    def repeated(self, path: Path, form: str) -> list[str]:
        """Return the problems of repeated ids; the file is read again only where hashes are equal."""
        hashes, counts = np.unique(np.asarray(self.ids), return_counts=True)
        suspected = set(hashes[counts > 1].tolist())
        problems: list[str] = []
        line_of_id: dict[str, int] = {}
        for row in STREAMED[form](path, 0) if suspected else ():
            if row.example is not None and _hash(row.example.id) in suspected:
                first = line_of_id.setdefault(row.example.id, row.number)
                if first != row.number:
                    problems.append(repeated_id(path, row.number, first, row.example.id))
        return problems
