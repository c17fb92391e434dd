"""A written file, read back as ``import`` reads it: everything that it does not hold is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from instruct_mner.data.exporting.posts import Post, as_gold
from instruct_mner.data.importing.run import import_file
from instruct_mner.data.importing.writing import ImportOptions
from instruct_mner.data.jsonl import rows
from instruct_mner.errors import DataError, MnerError
from instruct_mner.files import FULL
from instruct_mner.schema.packed import pack
from instruct_mner.schema.records import Entity, Example

_NOT_ANNOTATED = "boxes of {} mentions that were not annotated (read as not visible)"
_OF_ANOTHER = "boxes of {} mentions that had none (read with those of another mention)"
_ORDER = (
    "{} posts", "texts of {} posts", "marks of {} posts as not annotated", "marks of {} posts as holding none",
    "{} mentions", "places of {} mentions", "boxes of {} mentions", _NOT_ANNOTATED, _OF_ANOTHER,
    "marks of {} mentions as not visible", "pictures of {} posts", "ids of {} posts", "tokens of {} posts",
    "contexts of {} posts", "meta of {} posts",
)  # fmt: skip


def read_back(source: str, folder: Path, options: ImportOptions) -> Sequence[Example]:
    """Read the posts of a written file.

    Args:
        source: Path, or ``format:path``.
        folder: Folder for the posts that are read, which is left empty.
        options: Options of the format.

    Raises:
        DataError: It cannot be read as it was written.
        OSError: The disk is full.
    """
    out = folder / "read-back.jsonl"
    try:
        import_file(source, out, replace(options, images=None))
        return pack(row.example for row in rows(out) if row.example is not None)
    except MnerError as error:
        full = error.__context__
        if isinstance(full, OSError) and full.errno in FULL:
            raise full from None  # nothing is wrong with the posts
        raise
    finally:
        out.unlink(missing_ok=True)


def losses(posts: Sequence[Post], read: Sequence[Example], *, keeps_order: bool = True) -> list[str]:
    """Count what is other in the posts that were read.

    Args:
        posts: The posts that were written.
        read: The posts that were read.
        keeps_order: True where the posts stand in their order, so that those without an id of their own are known.

    Returns:
        Phrases such as ``boxes of 3 mentions``.
    """
    counts: Counter[str] = Counter()
    if keeps_order and len(posts) == len(read):
        for post, other in zip(posts, read, strict=True):
            _compare(as_gold(post), other, counts)
    else:
        place_of = {post.id: number for number, post in enumerate(read)}
        for post in posts:
            if post.id in place_of:
                _compare(as_gold(post), read[place_of[post.id]], counts)
            else:
                counts["{} posts"] += 1
    return [kind.format(counts[kind]) for kind in _ORDER if counts[kind]]


def _compare(post: Example, read: Example, counts: Counter[str]) -> None:
    counts["ids of {} posts"] += post.id != read.id
    counts["texts of {} posts"] += post.text != read.text
    counts["pictures of {} posts"] += post.images != read.images
    counts["tokens of {} posts"] += post.tokens is not None and post.tokens != read.tokens
    counts["contexts of {} posts"] += post.context != read.context
    counts["meta of {} posts"] += post.meta != read.meta
    counts["marks of {} posts as not annotated"] += post.entities is None and read.entities is not None
    counts["marks of {} posts as holding none"] += post.entities == () and read.entities is None
    there = list(read.entities or ())
    places = {_place(entity) for entity in there}
    # Those in their places first, so that none of them is taken for a mention that is elsewhere.
    for entity in sorted(post.entities or (), key=lambda entity: _place(entity) not in places):
        alike = [each for each in there if _mention(each) == _mention(entity)]
        if not alike:
            counts["{} mentions"] += 1
            continue
        other = min(alike, key=lambda each: _place(each) != _place(entity))
        there.remove(other)
        counts["places of {} mentions"] += _place(other) != _place(entity) and post.text == read.text
        if entity.boxes != other.boxes:
            counts[_change(entity, other)] += 1


def _change(entity: Entity, other: Entity) -> str:
    """Return the kind of the change of a mention whose boxes are not those that were written."""
    if entity.boxes:
        return "boxes of {} mentions"
    if other.boxes:
        return _OF_ANOTHER
    return _NOT_ANNOTATED if entity.boxes is None else "marks of {} mentions as not visible"


def _mention(entity: Entity) -> tuple[str, str]:
    return entity.text, entity.label


def _place(entity: Entity) -> tuple[int, str, str]:
    return entity.start, *_mention(entity)


def added(posts: Sequence[Post], read: Sequence[Example]) -> int:
    """Count mentions that are read and were never there, which no format may make."""
    written = Counter(_mention(entity) for post in posts for entity in post.entities or ())
    there = Counter(_mention(entity) for post in read for entity in post.entities or ())
    return (there - written).total()


def check_added(posts: Sequence[Post], read: Sequence[Example], target: Path) -> None:
    """Refuse a file from which mentions would be read that are none.

    Raises:
        DataError: There are such.
    """
    if number := added(posts, read):
        raise DataError(
            f"{target}: {number} mention(s) would be read from it that are none of the posts"
            f"{_first_added(posts, read)}; mend the post, leave it out, or choose a format that holds texts as they "
            "are, such as JSONL; nothing is written"
        )


def _first_added(posts: Sequence[Post], read: Sequence[Example]) -> str:
    """Return the first mention that is read and was never there, with its post, as far as the post is known."""
    by_id = {post.id: post for post in posts}
    owners = posts if len(posts) == len(read) else [by_id.get(other.id) for other in read]
    for post, other in zip(owners, read, strict=True):
        there = {_mention(entity) for entity in (post.entities if post else None) or ()}
        for entity in other.entities or ():
            if post is not None and _mention(entity) not in there:
                same = next((surface for surface, _ in there if surface.split() == entity.text.split()), None)
                meant = "" if same is None else f", which is {same!r} in the post"
                return f", the first in post {post.id!r}: {entity.text!r} ({entity.label}){meant}"
    return ""
