"""Pictures that are there and cannot be opened: looked for before a model is loaded, and treated as missing ones."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from instruct_mner.console import tracked
from instruct_mner.data.dataset import Dataset
from instruct_mner.data.missing_pictures import FATES
from instruct_mner.errors import DataError, listing
from instruct_mner.images import PictureCheck, check_image
from instruct_mner.schema.choices import MissingImage

_MOST_NAMED = 3
REMEDY = (
    "mend them, or take --missing-image text (config: data.missing_image) to keep such posts as text, skip to leave "
    "them out"
)


@dataclass
class PictureChecks:
    """Results of looks at pictures, in the order of the posts.

    Attributes:
        broken: Name of each picture that cannot be opened, with its post and the reason.
        lacking: Name of each JPEG that lacks its last bytes, with its post.
    """

    broken: dict[str, str] = field(default_factory=dict)
    lacking: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, name: str, post: str, result: PictureCheck | str) -> None:
        """Add the result of a look.

        Args:
            name: Name of the picture.
            post: Id of a post that has it.
            result: Result; the reason, where the picture cannot be opened.
        """
        if isinstance(result, str):
            self.broken.setdefault(name, f"post {post!r}: {result}")
        else:
            self._hash.update(result.digest)
            if result.lacks_end:
                self.lacking.setdefault(name, f"{name} (post {post!r})")

    @property
    def sha256(self) -> str:
        """Hash of the contents of all pictures that can be opened, hexadecimal."""
        return self._hash.hexdigest()

    def report(self, path: Path) -> str | None:
        """Return the message of broken pictures, each with its post; ``None``: none is."""
        if not self.broken:
            return None
        return f"{path}: {len(self.broken)} picture(s) cannot be used; {REMEDY}:\n{listing(self.broken.values())}"

    def notes(self, path: Path, how: MissingImage) -> tuple[str, ...]:
        """Return the lines for the user on what was done.

        Args:
            path: File of the posts.
            how: Treatment of posts with broken pictures.
        """
        lines = []
        if self.broken and how != "error":
            first = listing(self.broken.values(), most=_MOST_NAMED)
            lines.append(
                f"{path}: {len(self.broken)} picture(s) cannot be used, their posts are {FATES[how]}:\n{first}"
            )
        if self.lacking:
            names = list(self.lacking.values())
            first = ", ".join(names[:_MOST_NAMED]) + (", …" if names[_MOST_NAMED:] else "")
            lines.append(
                f"{path}: {len(names)} picture(s) lack their last bytes and are shown as far as they go: {first}"
            )
        return tuple(lines)


def look_at(path: Path) -> PictureCheck | str:
    """Return the result of a look at a picture; the reason, where it cannot be opened."""
    try:
        return check_image(path)
    except DataError as error:
        return str(error)


def check_pictures(dataset: Dataset) -> PictureChecks:
    """Open every picture of a data set that is there; pictures are decoded in threads, beside each other."""
    missing = set(dataset.missing_images)
    post_of: dict[str, str] = {}
    path_of: dict[str, Path] = {}
    for example in dataset.examples:
        if missing.isdisjoint(example.images):
            for name, path in zip(example.images, dataset.picture_paths(example), strict=True):
                post_of.setdefault(name, example.id)
                path_of.setdefault(name, path)
    checks = PictureChecks()
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        results: Iterable[PictureCheck | str] = threads.map(look_at, path_of.values())
        for name, result in zip(path_of, tracked(results, "opening pictures", len(path_of), "pictures"), strict=True):
            checks.add(name, post_of[name], result)
    return checks


def without_broken(dataset: Dataset, how: MissingImage) -> Dataset:
    """Return a data set after posts whose pictures cannot be opened were treated as those whose pictures are missing.

    Args:
        dataset: Data set, after missing pictures were treated.
        how: Treatment; with ``keep`` no picture is opened.

    Raises:
        DataError: There are such pictures, and they are an error, or no post is left.
    """
    if how == "keep":
        return dataset
    checks = check_pictures(dataset)
    report = checks.report(dataset.path)
    if how == "error" and report is not None:
        raise DataError(report)
    return _with_results(dataset, checks, how).without_missing(how)


def with_checked_pictures(dataset: Dataset) -> Dataset:
    """Return a data set whose posts stay as they are, with the pictures that cannot be opened among the missing."""
    return _with_results(dataset, check_pictures(dataset), "keep")


def _with_results(dataset: Dataset, checks: PictureChecks, how: MissingImage) -> Dataset:
    return replace(
        dataset,
        missing_images=(*dataset.missing_images, *checks.broken),
        pictures_sha256=checks.sha256,
        notes=(*dataset.notes, *checks.notes(dataset.path, how)),
    )
