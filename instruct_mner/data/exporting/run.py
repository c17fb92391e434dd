"""Splits in another format: written, read back, and told what is lost; whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from instruct_mner.data.conversion import check_absent, choose_outputs, choose_splits
from instruct_mner.data.exporting import pictures
from instruct_mner.data.exporting.posts import ExportedPosts, Post, as_gold
from instruct_mner.data.exporting.readback import check_added, losses, read_back
from instruct_mner.data.exporting.targets import OfPredictions, Target, is_file_name
from instruct_mner.data.formats import SPLITS
from instruct_mner.data.importing.writing import ImportOptions
from instruct_mner.errors import ConfigError, DataError, MnerError
from instruct_mner.files import check_place, exclusive, write_error
from instruct_mner.schema.packed import pack
from instruct_mner.schema.records import Example, PredictedEntity, Prediction


def write_splits(
    splits: Mapping[str, ExportedPosts], out: Path, target: Target, split: str | None = None
) -> Iterator[tuple[ExportedPosts, Path, list[str]]]:
    """Write splits, each of them whole or not at all.

    Args:
        splits: The splits of a data set.
        out: File for one split; a folder, for a file each or for Pascal VOC.
        target: Format of the files.
        split: Only this one.

    Yields:
        Each split that was written, its file, and lines on what that does not hold.

    Raises:
        ConfigError: There is no such split, several are for one file, or an output exists.
        DataError: The posts cannot be written so, or a file cannot be written.
    """
    labels = frozenset(label for posts in splits.values() for label in posts.labels())
    splits = {name: replace(posts, other_labels=labels) for name, posts in splits.items()}
    if not target.suffixes:
        chosen = {name: splits[name] for name in choose_splits(splits, split)}
        with exclusive(out):
            notes = export_voc(chosen, out, target)
        for number, posts in enumerate(chosen.values()):
            yield posts, out, [] if number else notes
        return
    for posts, path in choose_outputs(splits, out, target.suffixes[0], split, one_file=is_file_name(out)):
        with exclusive(path):
            check_absent(path)
            yield posts, path, export(posts, path, target)


def export(posts: ExportedPosts, out: Path, target: Target) -> list[str]:
    """Write the posts of a split as one file.

    Args:
        posts: The posts.
        out: The file, which does not exist.
        target: Format of the file.

    Returns:
        Lines for the user: what the file does not hold.

    Raises:
        DataError: The posts cannot be written so, or the file cannot be written; nothing is.
    """
    with _beside(out) as folder:
        made = folder / out.name
        assert target.write is not None, "what is a folder has a writer of its own"
        target.write(posts, made)
        notes = _notes(posts, folder, target, out)
        made.replace(out)
    further = target.note(posts)
    return notes if further is None else [*notes, further]


def export_voc(splits: Mapping[str, ExportedPosts], out: Path, target: Target) -> list[str]:
    """Write splits as a folder of texts in columns and boxes in Pascal VOC; see :func:`export`.

    Raises:
        ConfigError: The folder exists and holds something.
        DataError: The posts cannot be written so; nothing is.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} exists; choose another name, or remove it")
    with _beside(out) as folder:
        made = folder / out.name
        pictures.write_voc(splits, made)
        notes = []
        for split, posts in splits.items():
            try:
                read = read_back(f"gmner:{made / 'txt' / f'{split}.txt'}", folder, target.read or ImportOptions())
            except MnerError as error:
                raise DataError(_refusal(out, target, "the posts", str(error).replace(str(made), str(out)))) from None
            check_added(posts.posts, read, out)
            notes += [*_lines(target, out, posts.posts, read), *_left_out(posts.posts, target, out)]
            if split not in SPLITS.split("|"):
                notes.append(
                    f"{out}: splits are called {SPLITS}, and {split} is none; name it as a file, "
                    f"{out / 'txt' / f'{split}.txt'}"
                )
        if out.is_dir():
            out.rmdir()
        made.replace(out)
    return notes


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """Make a folder beside an output, in which it is written first: a rename within a file system is all or nothing."""
    check_place(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{out.name}.{os.getpid()}.", dir=out.parent) as folder:
            yield Path(folder)
    except OSError as error:
        raise write_error(out, error) from None


def _notes(posts: ExportedPosts, folder: Path, target: Target, out: Path) -> list[str]:
    """Read a written file back; predictions once more as gold, because no import takes predictions for it."""
    if target.read is None or target.write is None:
        return []
    there = any(isinstance(post, Prediction) for post in posts.posts)
    gold = replace(posts, posts=pack(map(as_gold, posts.posts))) if there else posts
    checked = folder / "checked"
    checked.mkdir()
    written = checked / f"posts{out.suffix}"
    if there:
        target.write(gold, written)
    else:
        shutil.copyfile(folder / out.name, written)
    try:
        read = read_back(str(written), checked, target.read)
    except MnerError as error:
        raise DataError(_why_unreadable(gold, written, target, out, str(error))) from None
    check_added(gold.posts, read, out)
    notes = _lines(target, out, gold.posts, read)
    return [*notes, *_left_out(posts.posts, target, out)]


def _left_out(posts: Sequence[Post], target: Target, out: Path) -> list[str]:
    """Return the notes on what predictions have and gold has not: confidences, and what is said of whole answers."""
    scored = sum(isinstance(entity, PredictedEntity) for post in posts for entity in post.entities or ())
    rejected = sum(isinstance(post, Prediction) and bool(post.rejected.total) for post in posts)
    windows = sum(isinstance(post, Prediction) and post.windows is not None for post in posts)
    kinds: Sequence[tuple[OfPredictions, int, str]] = (
        ("confidences", scored, "mentions are left out"),
        ("rejected items", rejected, "posts are left out, so that scores from it are higher"),
        ("number of windows", windows, "posts are left out"),
    )
    return [
        f"{out}: {target.title} holds no {kind}; those of {number} {left_out}"
        for kind, number, left_out in kinds
        if number and kind not in target.holds
    ]


def _why_unreadable(posts: ExportedPosts, written: Path, target: Target, out: Path, reason: str) -> str:
    """Return the message on a file that cannot be read back, with the first post by which it cannot."""
    write, read = target.write, target.read
    assert write is not None, "what is a folder is not written so"
    assert read is not None, "what loses nothing is not read back"

    def reason_of(some: Sequence[Example | Prediction]) -> str | None:
        write(replace(posts, posts=pack(some)), written)
        try:
            read_back(str(written), written.parent, read)
        except MnerError as error:
            return str(error)
        return None

    left = list(posts.posts)
    while len(left) > 1:
        half = len(left) // 2
        left = left[:half] if reason_of(left[:half]) is not None else left[half:]
    alone = reason_of(left)
    who = "the posts" if alone is None else f"post {left[0].id!r}"
    what = reason if alone is None else alone
    return _refusal(out, target, who, re.sub(rf"{re.escape(str(written))}(:\d+)?", "the file", what))


def _refusal(out: Path, target: Target, who: str, reason: str) -> str:
    return (
        f"{out}: {who} cannot be written as {target.title}, because the file cannot be read again; mend what is named, "
        f"leave it out, or choose another format: {reason}"
    )


def _lines(target: Target, out: Path, posts: Sequence[Post], read: Sequence[Example]) -> list[str]:
    lost = losses(posts, read)
    if not lost:
        return [f"{out}: read back, it holds all of the posts"]
    return [
        f"{out}: {target.title} does not hold all of the posts; read back, these are lost or other: {', '.join(lost)}"
    ]
