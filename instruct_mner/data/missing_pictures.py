"""Messages on pictures that are missing, and on what becomes of their posts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from instruct_mner.data.importing.inline_pictures import is_inline
from instruct_mner.data.picture_files import other_folder
from instruct_mner.errors import shortened
from instruct_mner.schema.choices import MissingImage

_REMEDY = (
    "give --images DIR (in a config data.images), or --missing-image text (data.missing_image; of calibrate "
    "--missing-image-as-text) to keep such posts as text, skip to leave them out"
)
FATES: dict[MissingImage, str] = {"text": "read as text", "skip": "left out", "keep": "kept as they are"}
"""Words for what becomes of posts whose pictures are missing or cannot be opened."""


def missing_report(
    path: Path, num_missing: int, num_named: int, missing: Sequence[str], root: Path | None, how: MissingImage
) -> str:
    """Return a message on missing pictures, with their place, and the remedy or what becomes of their posts.

    Args:
        path: File of the posts.
        num_missing: Number of missing pictures.
        num_named: Number of all pictures.
        missing: Names of missing pictures, of which the first are told.
        root: Folder of the pictures, if there is one.
        how: Treatment of their posts.
    """
    first = ", ".join(map(shortened, missing[:3])) + (", …" if len(missing) > 3 else "")
    where = f"not in {root}" if root else "no folder of pictures beside the file"
    if any(map(is_inline, missing)):
        where = "their bytes stand in the row, which 'instruct-mner import' writes into files"
    elif (elsewhere := other_folder(missing[:3], root, path)) is not None:
        where += f", but {'the first three ' if num_missing > 3 else ''}in {elsewhere}"
    end = _REMEDY if how == "error" else f"their posts are {FATES[how]}"
    return f"{path}: {num_missing} of {num_named} pictures are missing ({first}): {where}; {end}"


def none_left(path: Path, num_missing: int) -> str:
    """Return the message of posts of which none is left, because pictures are missing or cannot be opened."""
    return (
        f"{path}: no post is left, {num_missing} pictures are missing or cannot be used; give --images DIR (in a "
        "config data.images), or keep such posts as text with --missing-image text (data.missing_image)"
    )
