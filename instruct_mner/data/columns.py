r"""Posts as columns, as in CoNLL, GMNER, FMNERG and CMNER: a header with the id, then a token and its tag a line.

A raw post (``\t`` is a tab; ``<EOS>`` begins a context, which some sets append: captions, tags, retrieved texts)::

    IMGID:1015799
    George\tB-PER
    Zimmerman\tI-PER
    got\tO
    <EOS>\tX
    two\tX
    men\tX

A blank line, or one of blanks and tabs, ends it. ``column_layout`` says which other layouts are read, ``tag_schemes``
which tags. ``#``, ``;`` and U+00A0 are tokens like others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from sys import intern

from instruct_mner.data.bio import Joiner, decode_spans, join_tokens
from instruct_mner.data.column_layout import (
    GROUP_NAMES,
    Layout,
    header_names,
    id_in_comment,
    is_blank,
    is_document_start,
    tell_layout,
    text_in_comment,
)
from instruct_mner.data.joining import Joining, choose_joiners, gaps_in
from instruct_mner.data.picture_files import PICTURE_SUFFIXES
from instruct_mner.data.tag_schemes import are_chunks, is_tag, why_no_tag
from instruct_mner.errors import DataError
from instruct_mner.files import decode_lines
from instruct_mner.schema.choices import Decode
from instruct_mner.schema.records import Context, Example

CONTEXT_TOKEN = "<EOS>"  # noqa: S105 (a token of a text)
# Source: "X" in ITA's files, "B-X" in those of KB-NER, which follow them, https://github.com/Alibaba-NLP/KB-NER.
_CONTEXT_TAGS = frozenset({"X", "B-X", "I-X", "S-X"})


@dataclass
class TaggedPost:
    """A post as it stands in the file.

    Attributes:
        line: Number of its first line.
        id: Id in its header; made from the file and the line where there is none.
        has_header: True where the id is its own.
        picture: File name of its picture, where its header gives one with a suffix.
        tokens: Tokens of the post.
        tags: Tags of the tokens.
        context: The tokens after ``<EOS>``.
        gaps: Blanks between the tokens, where a comment above has the text as it was written.
        spoiled: True where a problem was found in it.
        shares_id: True for a sentence that has no header and follows one that has; its id is made of that.
    """

    line: int
    id: str
    has_header: bool = True
    picture: str | None = None
    tokens: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    context: tuple[str, ...] = ()
    gaps: tuple[str, ...] | None = None
    spoiled: bool = False
    shares_id: bool = False


@dataclass(frozen=True)
class Columns:
    """A file with columns, read.

    Attributes:
        posts: The posts that are right.
        problems: Everything that is wrong, as ``file:line: reason``.
        notes: Further lines for the user: what was left out.
    """

    posts: list[TaggedPost]
    problems: list[str]
    notes: tuple[str, ...] = ()

    def joining(self) -> Joining:
        """Choose the text between the tokens of each post."""
        chosen = choose_joiners([post.tokens for post in self.posts])
        known = zip(self.posts, chosen.joiners, strict=True)
        return replace(chosen, joiners=[joiner if post.gaps is None else post.gaps for post, joiner in known])

    def count_entities(self) -> dict[Decode, int]:
        """Count entities by decoding: the two differ where tags are not IOB2."""
        decodings: tuple[Decode, ...] = ("tolerant", "strict")
        return {how: sum(len(decode_spans(post.tags, how)) for post in self.posts) for how in decodings}


def parse(content: bytes, path: Path, layout: Layout) -> Columns:
    """Cut a file into posts."""
    lines, problems = decode_lines(content, path)
    header = next((number for number, line in enumerate(lines) if not is_blank(line)), None)
    names = () if header is None else header_names(lines[header])
    if header is not None and names:
        if set(names) & set(GROUP_NAMES):
            reason = (
                f"{', '.join(names)} are the columns of a table, in which one tells the posts; name it .tsv or .csv"
            )
            return Columns([], [*problems, f"{path}:{header + 1}: {reason}"])
        lines = [*lines[:header], "", *lines[header + 1 :]]
    try:
        layout = tell_layout(lines, path, layout)
    except DataError as error:
        return Columns([], [*problems, str(error)])
    # With a piece of the file's hash, so that lines of two files are never taken for the same post.
    headless = not layout.needs_header and not any(layout.id_of(line) is not None for line in lines)
    made_id = hashlib.sha256(content).hexdigest()[:8] if headless else None
    comments: list[str] = []
    posts = list(_posts(lines, path, layout, made_id, problems, comments))
    texts = _take_comments(posts, lines) if headless else []
    if not posts and not problems:
        problems.append(f"{path}:1: the file holds no post; expected '{layout.header}:<id>' and {layout.row} lines")
    line_of_id: dict[str, int] = {}
    for post in posts:
        _split_context(post, path, problems)
        _check_post(post, path, layout, line_of_id, problems)
    right = [post for post in posts if post.tokens and not post.spoiled]
    if are_chunks(tag for post in right for tag in post.tags):
        reason = "its tags are those of phrases (NP, VP), which are no entities; name a file with tags of entities"
        return Columns([], [*problems, f"{path}: {reason}"])
    first = "".join(comments[:1])[:40]
    notes = [f"{path}: {len(comments)} comment line(s), the first {first!r}, are no tokens"] if comments else []
    if texts:
        others = "" if all(texts) else "; the other posts are joined from their tokens"
        notes.append(f"{path}: {sum(texts)} of {len(texts)} texts in comments give the blanks between tokens{others}")
    notes += [f"{path}: its first line names the columns ({', '.join(names)}) and is no token"] if names else []
    sharing = [post for post in right if post.shares_id]
    if sharing:
        first_of_them = f"the first in line {sharing[0].line}; each is a post with that picture: {sharing[0].id!r} …"
        notes.append(f"{path}: {len(sharing)} sentences stand under the id of another, {first_of_them}")
    return Columns(right, problems, tuple(notes))


def _check_post(post: TaggedPost, path: Path, layout: Layout, line_of_id: dict[str, int], problems: list[str]) -> None:
    if not post.tokens and not post.spoiled:
        problems.append(
            f"{path}:{post.line}: post {post.id!r} has no token; write {layout.row} lines below its id, or take it out"
        )
    if post.id and line_of_id.setdefault(post.id, post.line) != post.line:
        first = line_of_id[post.id]
        problems.append(
            f"{path}:{post.line}: id {post.id!r} stands already in line {first}; give each post an id of its own"
        )
        post.spoiled = True


def _take_comments(posts: Sequence[TaggedPost], lines: Sequence[str]) -> list[bool]:
    """Give posts the ids in the comments above them, where each has one of its own, and the blanks of texts there.

    Returns:
        For each text in a comment, whether it is that of the tokens below.
    """
    ids: list[str | None] = []
    told = []
    for post in posts:
        above = post.line - 2
        identifier = text = None
        while above >= 0 and lines[above].startswith("#"):
            identifier = identifier or id_in_comment(lines[above])
            text = text or text_in_comment(lines[above])
            above -= 1
        ids.append(identifier)
        if text is not None:
            post.gaps = gaps_in(text, post.tokens)
            told.append(post.gaps is not None)
    if None not in ids and len(set(ids)) == len(ids):
        for post, identifier in zip(posts, ids, strict=True):
            post.id = identifier or post.id
    return told


def _posts(
    lines: Sequence[str], path: Path, layout: Layout, made_id: str | None, problems: list[str], comments: list[str]
) -> Iterator[TaggedPost]:
    """Yield each post when the next one begins, so the last needs no blank line after it."""
    post: TaggedPost | None = None
    header: TaggedPost | None = None  # of the sentences that follow it without one of their own
    num_sentences = 0
    ended = False  # by a blank line after tokens; a blank line between an id and its tokens ends nothing
    for number, line in enumerate(lines, start=1):
        if is_blank(line) or is_document_start(line):
            ended = post is not None and bool(post.tokens)
            continue
        if layout.is_comment(line, begins=post is None or ended or not post.tokens):
            comments.append(line)
            continue
        identifier = layout.id_of(line)
        if identifier is not None or post is None or ended:
            if post is not None:
                yield post
            if identifier is None and header is not None and layout.several_sentences:
                num_sentences += 1
                picture = header.picture or header.id
                post = TaggedPost(number, f"{header.id}-{num_sentences}", picture=picture, shares_id=True)
            else:
                post = _new_post(number, identifier, made_id)
                header, num_sentences = (post if post.has_header and post.id else None), 1
            ended = False
            if not post.id:
                reason = f"a post begins without an '{layout.header}:<id>' line"
                reason = reason if identifier is None else f"'{layout.header}:' without an id"
                problems.append(f"{path}:{number}: {reason}")
                post.spoiled = True
        if identifier is None:
            _add_row(post, line, layout, f"{path}:{number}", problems)
    if post is not None:
        yield post


def _new_post(line: int, identifier: str | None, made_id: str | None) -> TaggedPost:
    if made_id is not None:
        return TaggedPost(line, f"{made_id}-{line}", has_header=False)
    name = identifier or ""
    stem, dot, suffix = name.rpartition(".")
    if stem and f"{dot}{suffix}".lower() in PICTURE_SUFFIXES:
        return TaggedPost(line, stem.replace("\\", "/").rpartition("/")[2], picture=name)
    return TaggedPost(line, name)


def _add_row(post: TaggedPost, line: str, layout: Layout, where: str, problems: list[str]) -> None:
    cells = layout.cells(line)
    whole = len(cells) == len(layout.columns) and layout.tag is not None
    token, tag = (cells[layout.token], cells[layout.tag or 0]) if whole else (cells[0], "")
    in_context = CONTEXT_TOKEN in (token, *post.tokens)
    reason = None
    if not whole:
        reason = f"expected {layout.row}, found {len(cells)} column(s): {line[:40]!r}"
    elif not token:
        reason = f"the token is empty; expected {layout.row}"
    elif tag == "X" and not in_context:
        reason = f"tag 'X' of token {token!r} is for a context, which a {CONTEXT_TOKEN} of the same post must open"
    elif not is_tag(tag) and tag not in _CONTEXT_TAGS:
        reason = why_no_tag(tag, token)
    if reason:
        problems.append(f"{where}: {reason}")
        post.spoiled = True
    # Of a token that stands in a file a thousand times, one object.
    post.tokens.append(intern(token))
    post.tags.append(intern(tag))


def _split_context(post: TaggedPost, path: Path, problems: list[str]) -> None:
    """Take the context off the end of a post. An ``<EOS>`` that no label ``X`` follows is a token like others."""
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
        post.context, post.gaps = tuple(post.tokens[index + 1 :]), None
        del post.tokens[index:], post.tags[index:]
        return
    if "X" in post.tags and not post.spoiled:
        problems.append(
            f"{path}:{post.line}: post {post.id!r} has tag 'X' outside of a context, which {CONTEXT_TOKEN} opens"
        )
        post.spoiled = True


def to_example(post: TaggedPost, images: tuple[str, ...], decode: Decode, joiner: Joiner = " ") -> Example:
    """Return the post as a record: tokens joined to its text, its context as a caption."""
    text, entities = join_tokens(post.tokens, decode_spans(post.tags, decode), joiner)
    return Example(
        id=post.id,
        text=text,
        images=images,
        entities=tuple(entities),
        tokens=tuple(post.tokens),
        context=Context(caption=(joiner if isinstance(joiner, str) else " ").join(post.context))
        if post.context
        else None,
    )
