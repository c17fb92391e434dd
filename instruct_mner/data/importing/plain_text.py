"""Text files of one post a line, and what looks like one and is none."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from instruct_mner.data.column_layout import is_columns
from instruct_mner.data.formats import COLUMN_SUFFIXES
from instruct_mner.data.importing.posts import Fault, RawPost
from instruct_mner.data.importing.roles import are_tags
from instruct_mner.data.importing.sources import ROWS_LOOKED_AT, Item, is_json
from instruct_mner.errors import DataError
from instruct_mner.files import stream_lines

# Headers of posts, and the brackets of CoNLL-2005: read as text, a token would be a post.
_OF_COLUMNS = re.compile(r"\s*#?\s*(?:IMGID|WID)\s*[:=]|-DOCSTART-|\S+\s+(?:\(\w+\*\)?|\*\))$", re.IGNORECASE)
# Entities that are marked in the text: ``<PER>Anna</PER>``, ``[Anna](PER)`` as Rasa has them, ``[Anna | PER]``,
# ``Anna_B-PER``.
_GLUED = re.compile(r"\S+[/_|=:][BIESLUM]-[A-Za-z]\w*")
_MARKED = re.compile(
    r"<(?P<tag>[A-Za-z][\w:-]*)>[^<>]+</(?P=tag)>|\[[^][]+\]\([A-Za-z][\w-]*\)|\[[^][|]+ ?\| ?[A-Za-z][^][|]*\]"
    rf"|{_GLUED.pattern}(?!\S)"
)
_FEW = 4


def is_plain(path: Path) -> bool:
    """Return true for a text file that is neither JSON nor columns: one post a line."""
    suffixes = {*COLUMN_SUFFIXES, ".text", ""} - {".tsv"}
    return path.suffix.lower() in suffixes and not is_json(path) and not is_columns(path)


def check_plain(path: Path) -> None:
    """Check that a file is a text, and meant as one.

    Raises:
        DataError: It is no text, or one with columns or marked entities.
    """
    unreadable = next((line.problem for line in stream_lines(path) if line.fatal), None)
    if unreadable is not None:
        raise DataError(unreadable)
    if path.suffix not in {".txt", ".text", ""}:
        raise DataError(f"{path}: no column of tags in it; expected a token and its tag a line")
    lines = list(islice((line.text for line in stream_lines(path) if line.text.strip()), ROWS_LOOKED_AT))
    looks_tagged = _example_of_tags(lines)
    if looks_tagged is not None:
        raise DataError(
            f"{path}: its lines look like tokens with tags ({looks_tagged[:60]!r}), and would be posts; tags are O, "
            'B-<type> and I-<type>, one behind each token; write texts that are meant so as {"text": …} in a .jsonl'
        )
    marked = [match for line in lines if (match := _MARKED.search(line)) is not None]
    if marked and 2 * len(marked) >= len(lines):
        raise DataError(
            f"{path}: {len(marked)} of the first {len(lines)} lines hold marks such as {marked[0].group()[:60]!r}, "
            "which would stand in the texts of the posts; write the entities beside the text "
            '({"text": …, "entities": …} in a .jsonl), or texts that are meant so as {"text": …}'
        )


def _example_of_tags(lines: Sequence[str]) -> str | None:
    """Return a line that shows that tokens and tags stand in lines; ``None`` where nothing does.

    Tags are lines of their own below their tokens, or stand behind each token, with another sign than ``O`` for none.
    """
    pieces = [line.split() for line in lines]
    of_tags = [line for line, each in zip(lines, pieces, strict=True) if len(each) > 1 and are_tags(line)]
    if of_tags and 3 * len(of_tags) >= len(lines):
        return of_tags[0]
    if len(lines) < _FEW or len(set(map(len, pieces))) > 1:
        return None
    last = [each[-1] for each in pieces]
    tagged = [line for line, each in zip(lines, last, strict=True) if are_tags(each) or _GLUED.fullmatch(each)]
    if len(tagged) > 1:
        return tagged[0]
    (value, number), *others = Counter(last).most_common()
    is_sign = len(pieces[0]) > 1 and len(value) == 1 and others
    return f"… {value}" if is_sign and 2 * number > len(lines) else None


def plain_posts(path: Path) -> Iterator[Item]:
    """Read one post a line; blank lines are none."""
    for line in stream_lines(path):
        where = f"{path}:{line.number}"
        if line.problem is not None:
            yield Fault(where, line.problem.partition(": ")[2])
        elif _OF_COLUMNS.match(line.text):
            yield Fault(where, f"{line.text[:40]!r} is no line of a text of one post a line, but of a file of columns; "
                               "write a token and its tag (O, B-<type>, I-<type>) a line")  # fmt: skip
        elif line.text.strip():
            yield RawPost(where=where, text=line.text.strip(" \t"))
