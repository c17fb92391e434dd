"""Text files of one post a line, and what looks like one and is none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from instruct_mner.data.column_layout import is_columns
from instruct_mner.data.formats import COLUMN_SUFFIXES
from instruct_mner.data.importing.posts import Fault, RawPost
from instruct_mner.data.importing.sources import ROWS_LOOKED_AT, Item, is_json
from instruct_mner.errors import DataError
from instruct_mner.files import stream_lines

# Headers of posts, and the brackets of CoNLL-2005: read as text, a token would be a post.
_OF_COLUMNS = re.compile(r"\s*#?\s*(?:IMGID|WID)\s*[:=]|-DOCSTART-|\S+\s+(?:\(\w+\*\)?|\*\))$", re.IGNORECASE)
# Entities that are marked in the text: ``<PER>Anna</PER>``, ``[Anna](PER)`` as Rasa has them, ``[Anna | PER]``,
# ``Anna_B-PER``.
_MARKED = re.compile(
    r"<(?P<tag>[A-Za-z][\w:-]*)>[^<>]+</(?P=tag)>|\[[^][]+\]\([A-Za-z][\w-]*\)|\[[^][|]+ ?\| ?[A-Za-z][^][|]*\]"
    r"|\S+[/_|][BIESLUM]-[A-Za-z]\w*(?!\S)"
)


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
    marked = [match for line in lines if (match := _MARKED.search(line)) is not None]
    if marked and 2 * len(marked) >= len(lines):
        raise DataError(
            f"{path}: {len(marked)} of the first {len(lines)} lines hold marks such as {marked[0].group()[:60]!r}, "
            "which would stand in the texts of the posts; write the entities beside the text "
            '({"text": …, "entities": …} in a .jsonl), or texts that are meant so as {"text": …}'
        )


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
