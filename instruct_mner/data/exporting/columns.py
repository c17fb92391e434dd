r"""CoNLL: a token and its tag a line, with the picture or the id of the post above.

::

    IMGID:7.jpg          where each post has one picture of its own
    Anna\tB-PER

    # id = 17            else; the text where its tokens are joined otherwise when they are read
    # text = left!
    left\tO
    !\tO
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import PurePosixPath

from instruct_mner.data.bio import join_tokens
from instruct_mner.data.column_layout import Layout
from instruct_mner.data.exporting.posts import ExportedPosts, Post, as_gold
from instruct_mner.data.joining import TokenCounts, gaps_in
from instruct_mner.data.picture_files import PICTURE_SUFFIXES
from instruct_mner.errors import DataError
from instruct_mner.schema.records import Entity, Example

_LAYOUT = Layout()


def write(posts: ExportedPosts) -> Iterator[str]:
    """Yield the lines of a file.

    Raises:
        DataError: A post has no token, or one that would be read as the id of a post.
    """
    by_picture = names_pictures(posts.posts)
    # How tokens are joined when they are read follows from all of the file, and comments are read where no picture is.
    told = () if by_picture else posts.posts
    counts = TokenCounts.of([token for token, _ in tagged(as_gold(post))] for post in told)
    for post in posts.posts:
        yield f"IMGID:{PurePosixPath(post.images[0]).name}\n" if by_picture else f"# id = {post.id}\n"
        rows = tagged(as_gold(post))
        if not by_picture and _is_told_in_a_comment(post.text, [token for token, _ in rows], counts):
            yield f"# text = {post.text}\n"
        for token, tag in rows:
            line = f"{token}\t{tag}"
            if _LAYOUT.id_of(line) is not None:
                raise DataError(
                    f"post {post.id!r}: token {token!r} is the id of a post in columns; choose another format, or "
                    "leave the post out"
                )
            yield f"{line}\n"
        yield "\n"


def _is_told_in_a_comment(text: str, tokens: Sequence[str], counts: TokenCounts) -> bool:
    """Return true for a text whose blanks between tokens are lost without it, and which a line of comment can hold."""
    one_line = text == text.strip() and "\t" not in text and len(text.splitlines()) == 1
    joined, _ = join_tokens(tokens, (), counts.joiner(tokens))
    return one_line and text != joined and gaps_in(text, tokens) is not None


def names_pictures(posts: Sequence[Post]) -> bool:
    """Return true where each post has one picture, and none has the same: its name then stands above the post."""
    names = [PurePosixPath(name) for post in posts for name in post.images[:1]]
    alone = all(len(post.images) == 1 for post in posts)
    suffixes = all(name.suffix.lower() in PICTURE_SUFFIXES for name in names)
    return alone and suffixes and len({name.stem for name in names}) == len(posts)


def tagged(post: Example) -> list[tuple[str, str]]:
    """Return tokens and their tags: those of the post, or its words, cut where an entity begins or ends.

    Raises:
        DataError: The post holds nothing but blanks.
    """
    entities = post.entities or ()
    bounds = _bounds(post, entities)
    if not bounds:
        raise DataError(f"post {post.id!r} has no word, which columns cannot say; leave it out")
    tags = []
    for start, end in bounds:
        owner = next((each for each in entities if each.start <= start and end <= each.end), None)
        tags.append("O" if owner is None else f"{'B' if start == owner.start else 'I'}-{owner.label}")
    return [(post.text[start:end], tag) for (start, end), tag in zip(bounds, tags, strict=True)]


def _bounds(post: Example, entities: Sequence[Entity]) -> list[tuple[int, int]]:
    """Return the characters of each token."""
    cuts = {edge for entity in entities for edge in (entity.start, entity.end)}
    bounds: list[tuple[int, int]] = []
    position = 0
    for token in post.tokens if post.tokens is not None else post.text.split():
        start = post.text.index(token, position)
        position = start + len(token)
        edges = [start, *sorted(cut for cut in cuts if start < cut < position), position]
        bounds += pairwise(edges)
    return bounds
