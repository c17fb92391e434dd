r"""CoNLL files as the Twitter sets use them (UMT's layout): a post is its id, then a token and a tag a line.

A raw post (``\t`` is a tab)::

    IMGID:1015799
    RT\tO
    @JayKenMinaj\tO
    ...
    George\tB-PER
    Zimmerman\tI-PER
    got\tO

A blank line ends it. The picture is ``1015799.jpg``; text is the tokens joined with one space. Nothing is a
comment, and lines are never stripped: ``#``, ``;`` and U+00A0 are tokens.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from instruct_mner.data.bio import Decode, decode_spans, is_tag, join_tokens
from instruct_mner.data.dataset import (
    Dataset,
    Reading,
    dataset_name,
    missing_pictures,
    picture_folder,
    picture_name,
)
from instruct_mner.files import decode_lines, read_bytes
from instruct_mner.records import Example

_HEADER = re.compile(r" *IMGID:([^\t]*)")


@dataclass
class Post:
    """A post as it stands in the file.

    Attributes:
        line: Number of its ``IMGID:`` line.
        id: What follows ``IMGID:``.
        tokens: Its tokens.
        tags: Their tags.
        spoiled: Whether a problem was found in it.
    """

    line: int
    id: str
    tokens: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    spoiled: bool = False


def read(path: Path, *, images: Path | None, decode: Decode) -> Reading:
    """Reads one file; see ``Reader``."""
    content = read_bytes(path)
    posts, problems = parse(content, path)
    root = picture_folder(path.parent, images)
    examples = tuple(to_example(post, root, decode) for post in posts)
    dataset = Dataset(
        name=dataset_name(path.parent, path.stem),
        format="conll",
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        examples=examples,
        image_root=root,
        missing_images=missing_pictures(examples, root),
    )
    return Reading(dataset, tuple(problems), count_entities(posts))


def parse(content: bytes, path: Path) -> tuple[list[Post], list[str]]:
    """Cuts a file into posts.

    Returns:
        The posts that are right, and the problems as ``file:line: reason``.
    """
    lines, problems = decode_lines(content, path)
    posts = list(_posts(lines, path, problems))
    if not posts and not problems:
        problems.append(f"{path}:1: the file holds no post; expected 'IMGID:<id>' and TOKEN<TAB>TAG lines")
    line_of_id: dict[str, int] = {}
    for post in posts:
        if not post.tokens and not post.spoiled:
            problems.append(f"{path}:{post.line}: post {post.id!r} has no token")
        if post.id and line_of_id.setdefault(post.id, post.line) != post.line:
            problems.append(
                f"{path}:{post.line}: id {post.id!r} stands already in line {line_of_id[post.id]}"
            )
            post.spoiled = True
    return [post for post in posts if post.tokens and not post.spoiled], problems


def _posts(lines: list[str], path: Path, problems: list[str]) -> Iterator[Post]:
    """Yields each post when the next one begins, so the last needs no blank line after it."""
    post: Post | None = None
    ended = False  # by a blank line after tokens; a blank line between an id and its tokens ends nothing
    for number, line in enumerate(lines, start=1):
        if not line.strip(" "):
            ended = post is not None and bool(post.tokens)
            continue
        header = _HEADER.fullmatch(line)
        if header or post is None or ended:
            if post is not None:
                yield post
            post = Post(number, header[1].strip(" ") if header else "")
            ended = False
            if not post.id:
                reason = "'IMGID:' without an id" if header else "a post begins without an 'IMGID:<id>' line"
                problems.append(f"{path}:{number}: {reason}")
                post.spoiled = True
        if not header:
            _add_row(post, line, f"{path}:{number}", problems)
    if post is not None:
        yield post


def _add_row(post: Post, line: str, where: str, problems: list[str]) -> None:
    columns = line.split("\t")
    token, tag = columns[0], columns[-1]
    reason = None
    if len(columns) != 2:
        reason = f"expected TOKEN<TAB>TAG, found {len(columns)} column(s): {line[:40]!r}"
    elif not token:
        reason = "the token is empty"
    elif not is_tag(tag):
        reason = f"tag {tag!r} of token {token!r} is none of O, B-<type>, I-<type>"
    if reason:
        problems.append(f"{where}: {reason}")
        post.spoiled = True
    post.tokens.append(token)
    post.tags.append(tag)


def to_example(post: Post, root: Path | None, decode: Decode) -> Example:
    """The post as a record: tokens joined with one space, picture named by the id."""
    text, entities = join_tokens(post.tokens, decode_spans(post.tags, decode))
    return Example(
        id=post.id,
        text=text,
        images=(picture_name(post.id, root),),
        entities=tuple(entities),
        tokens=tuple(post.tokens),
    )


def count_entities(posts: list[Post]) -> dict[Decode, int]:
    """Entities by decoding: the two differ where tags are not IOB2."""
    decodings: tuple[Decode, ...] = ("tolerant", "strict")
    return {how: sum(len(decode_spans(post.tags, how)) for post in posts) for how in decodings}
