r"""Posts as columns, as in CoNLL, GMNER, FMNERG and CMNER: a header with the id, then a token and its tag a line.

A raw post (``\t`` is a tab; ``<EOS>`` begins a context, which some sets append: captions, tags, retrieved texts)::

    IMGID:1015799
    George\tB-PER
    Zimmerman\tI-PER
    got\tO
    <EOS>\tX
    two\tX
    men\tX

A blank line ends it. Nothing is a comment, and lines are never stripped: ``#``, ``;`` and U+00A0 are tokens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from instruct_mner.data.bio import decode_spans, is_tag, join_tokens
from instruct_mner.files import decode_lines
from instruct_mner.schema.choices import Decode
from instruct_mner.schema.records import Context, Example

CONTEXT_TOKEN = "<EOS>"  # noqa: S105 (a token of a text)
# Source: "X" in ITA's files, "B-X" in those of KB-NER, which follow them.
_CONTEXT_TAGS = frozenset({"X", "B-X", "I-X", "S-X"})


@dataclass(frozen=True)
class Layout:
    """What differs between the formats.

    Attributes:
        header: What stands before the colon and the id.
        columns: Names of the columns of a row; the first is the token.
        tag: Index of the column that holds the tag.
        needs_header: Whether a file without a single header is wrong, or a file of posts without ids.
    """

    header: str = "IMGID"
    columns: tuple[str, ...] = ("TOKEN", "TAG")
    tag: int = 1
    needs_header: bool = True

    def id_of(self, line: str) -> str | None:
        """The id, if the line is a header."""
        start, colon, rest = line.partition(":")
        return rest.strip(" ") if colon and start.lstrip(" ") == self.header and "\t" not in rest else None


@dataclass
class Post:
    """A post as it stands in the file.

    Attributes:
        line: Number of its first line.
        id: Of its header; made from the file and the line where there is none.
        has_header: Whether the id is its own.
        tokens: Its tokens.
        tags: Their tags.
        context: The tokens after ``<EOS>``.
        spoiled: Whether a problem was found in it.
    """

    line: int
    id: str
    has_header: bool = True
    tokens: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    context: tuple[str, ...] = ()
    spoiled: bool = False


def parse(content: bytes, path: Path, layout: Layout) -> tuple[list[Post], list[str]]:
    """Cuts a file into posts.

    Returns:
        The posts that are right, and the problems as ``file:line: reason``.
    """
    lines, problems = decode_lines(content, path)
    if not layout.needs_header and not any(layout.id_of(line) is not None for line in lines):
        # With a piece of the file's hash, so that lines of two files are never taken for the same post.
        prefix = hashlib.sha256(content).hexdigest()[:8]
    else:
        prefix = None
    posts = list(_posts(lines, path, layout, prefix, problems))
    rows = "<TAB>".join(layout.columns)
    if not posts and not problems:
        problems.append(f"{path}:1: the file holds no post; expected '{layout.header}:<id>' and {rows} lines")
    line_of_id: dict[str, int] = {}
    for post in posts:
        _split_context(post, path, problems)
        if not post.tokens and not post.spoiled:
            problems.append(
                f"{path}:{post.line}: post {post.id!r} has no token; write {rows} lines below its id, or take it out"
            )
        if post.id and line_of_id.setdefault(post.id, post.line) != post.line:
            first = line_of_id[post.id]
            problems.append(
                f"{path}:{post.line}: id {post.id!r} stands already in line {first}; give each post an id of its own"
            )
            post.spoiled = True
    return [post for post in posts if post.tokens and not post.spoiled], problems


def _posts(lines: list[str], path: Path, layout: Layout, made_id: str | None, problems: list[str]) -> Iterator[Post]:
    """Yields each post when the next one begins, so the last needs no blank line after it."""
    post: Post | None = None
    ended = False  # by a blank line after tokens; a blank line between an id and its tokens ends nothing
    for number, line in enumerate(lines, start=1):
        if not line.strip(" "):
            ended = post is not None and bool(post.tokens)
            continue
        identifier = layout.id_of(line)
        if identifier is not None or post is None or ended:
            if post is not None:
                yield post
            if made_id is None:
                post = Post(number, identifier or "")
            else:
                post = Post(number, f"{made_id}-{number}", has_header=False)
            ended = False
            if not post.id:
                headless = f"a post begins without an '{layout.header}:<id>' line"
                reason = headless if identifier is None else f"'{layout.header}:' without an id"
                problems.append(f"{path}:{number}: {reason}")
                post.spoiled = True
        if identifier is None:
            _add_row(post, line, layout, f"{path}:{number}", problems)
    if post is not None:
        yield post


def _add_row(post: Post, line: str, layout: Layout, where: str, problems: list[str]) -> None:
    columns = line.split("\t")
    token, tag = columns[0], columns[layout.tag] if len(columns) == len(layout.columns) else ""
    in_context = CONTEXT_TOKEN in (token, *post.tokens)
    reason = None
    if len(columns) != len(layout.columns):
        reason = f"expected {'<TAB>'.join(layout.columns)}, found {len(columns)} column(s): {line[:40]!r}"
    elif not token:
        reason = f"the token is empty; expected {'<TAB>'.join(layout.columns)}"
    elif tag == "X" and not in_context:
        reason = f"tag 'X' of token {token!r} is for a context, which a {CONTEXT_TOKEN} of the same post must open"
    elif not is_tag(tag) and tag not in _CONTEXT_TAGS:
        reason = f"tag {tag!r} of token {token!r} is none of O, B-<type>, I-<type>"
    if reason:
        problems.append(f"{where}: {reason}")
        post.spoiled = True
    post.tokens.append(token)
    post.tags.append(tag)


def _split_context(post: Post, path: Path, problems: list[str]) -> None:
    """Takes the context off the end of a post. An ``<EOS>`` that no label ``X`` follows is a token like others."""
    for index, token in enumerate(post.tokens):
        opens = token == CONTEXT_TOKEN and not _CONTEXT_TAGS.isdisjoint(post.tags[index : index + 2])
        if not opens or post.spoiled:
            continue
        wrong = [tag for tag in post.tags[index + 1 :] if tag not in _CONTEXT_TAGS]
        if wrong:
            problems.append(
                f"{path}:{post.line}: post {post.id!r} has tag {wrong[0]!r} after {CONTEXT_TOKEN}, where all tokens "
                "are a context, labelled X"
            )
            post.spoiled = True
        post.context = tuple(post.tokens[index + 1 :])
        del post.tokens[index:], post.tags[index:]
        return
    if "X" in post.tags and not post.spoiled:
        problems.append(
            f"{path}:{post.line}: post {post.id!r} has tag 'X' outside of a context, which {CONTEXT_TOKEN} opens"
        )
        post.spoiled = True


def to_example(post: Post, images: tuple[str, ...], decode: Decode, joiner: str = " ") -> Example:
    """The post as a record: tokens joined to its text, its context as a caption."""
    text, entities = join_tokens(post.tokens, decode_spans(post.tags, decode), joiner)
    return Example(
        id=post.id,
        text=text,
        images=images,
        entities=tuple(entities),
        tokens=tuple(post.tokens),
        context=Context(caption=joiner.join(post.context)) if post.context else None,
    )


def count_entities(posts: list[Post]) -> dict[Decode, int]:
    """Entities by decoding: the two differ where tags are not IOB2."""
    decodings: tuple[Decode, ...] = ("tolerant", "strict")
    return {how: sum(len(decode_spans(post.tags, how)) for post in posts) for how in decodings}
