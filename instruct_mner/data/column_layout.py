r"""Layout of a file with columns: its separator, its column of tags, its headers and comments, told by its content.

Files as people have them (``\t`` is a tab)::

    IMGID:1015799            -DOCSTART- -X- -X- O        # sent_id = 1             1\tSchartau\tB-PER
    George\tB-PER                                        George _ _ B-PER          2\tsagte\tO
    Zimmerman\tI-PER         George NNP B-NP B-PER       Zimmerman _ _ I-PER

The column of tags is the only one, behind the tokens, that holds tags of entities. Where several hold them, and they
differ (gold and prediction, two annotators), the file is refused unless the column is chosen.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from instruct_mner.data.tag_schemes import CHUNK_TYPES, are_chunks, is_tag, looks_like_tag, types_of
from instruct_mner.errors import DataError
from instruct_mner.files import stream_lines

_DOCUMENT_START = re.compile(r"\s*-*DOCSTART-*(?:[\s:(]|$)", re.IGNORECASE)
_COMMENT = re.compile(r"#+\s.*|#\s*[\w.-]+\s*[=:].*")
_ENDS_WITH_TAG = re.compile(r"[\s,;|/](?:O|[BIESLUM][-_]\S+)\s*$", re.IGNORECASE)
# Source: "# text = …" is the sentence as it was written, https://universaldependencies.org/format.html
_COMMENT_TEXT = re.compile(r"#\s*text\s*=\s*(\S.*)")
_COMMENT_ID = re.compile(r"#\s*(?:(?:sent_|post_|tweet_|doc_)?id\s*[=:]\s*(\S+)|id\s+(\S+)(?:\s.*)?)\s*")
# Source: ids of words, of several words and of words that are not there, https://universaldependencies.org/format.html
_NUMBERED = re.compile(r"\d+(?:[-.]\d+)?")
_BLANKS = re.compile(" +")
# Tags are looked for in so many rows, which tell the layout of a file.
_ROWS_LOOKED_AT = 20_000
_LINES_LOOKED_AT = 2000
_CONTEXT = frozenset({"X", "B-X", "I-X", "S-X"})


GROUP_NAMES = ("sentence #", "sentence_id", "sent_id", "sentence_idx", "sentence", "post_id", "doc_id", "id")
"""Names of the column of posts in a table of one token a row."""
TOKEN_NAMES = ("word", "token", "words", "tokens")
"""Names of its column of tokens."""
TAG_NAMES = ("tag", "ner_tag", "ner", "label", "tags", "labels", "ner_tags", "bio")
"""Names of its column of tags."""


@dataclass(frozen=True)
class Layout:
    """The properties in which files with columns differ.

    Attributes:
        header: Word before the colon and the id of a post.
        columns: Names of the columns of a row; empty where the content tells them.
        tag: Index of the column that holds the tag; ``None`` where the content tells it.
        token: Index of the column that holds the token.
        needs_header: False where a file without a single header is one of posts without ids.
        tabs: True where tabs separate columns, false where blanks do.
        several_sentences: True where sentences without a header of their own belong to the one above.
    """

    header: str = "IMGID"
    columns: tuple[str, ...] = ()
    tag: int | None = None
    token: int = 0
    needs_header: bool = True
    tabs: bool = True
    several_sentences: bool = False

    def id_of(self, line: str) -> str | None:
        """Return the id, if the line is a header; a tag behind it is no part of it."""
        start, colon, rest = line.partition(":")
        if not colon or start.lstrip("# ") != self.header:
            return None
        identifier, *others = rest.split() or [""]
        if "\t" in rest and not (len(others) == 1 and is_tag(others[0])):
            return None
        return identifier if len(others) == 1 and is_tag(others[0]) else rest.strip(" ")

    def cells(self, line: str) -> list[str]:
        """Return the cells of a row. Of tokens only blanks at their edges are taken off: U+00A0 is a token."""
        if not self.tabs:
            return _BLANKS.split(line.strip(" \t"))
        return [cell.strip(" ") or cell for cell in line.rstrip(" ").split("\t")]

    def is_comment(self, line: str, *, begins: bool) -> bool:
        """Return true for a comment line.

        Args:
            line: The line.
            begins: True where no token of the post stands before it; between tokens, only ``# …`` is a comment.
        """
        if not line.startswith("#") or self.id_of(line) is not None or not _COMMENT.fullmatch(line):
            return False
        if self.tabs and "\t" in line and not _is_remark(line):
            return False
        if not begins and not line.startswith("# "):
            return False
        cells = self.cells(line)
        return not (len(cells) == len(self.columns) and self.tag is not None and looks_like_tag(cells[self.tag]))

    @property
    def row(self) -> str:
        """The columns of a row, for messages."""
        return ("<TAB>" if self.tabs else " ").join(self.columns or ("TOKEN", "TAG"))


def _is_remark(line: str) -> bool:
    """Return true for a comment that holds tabs itself, as ``# id 5239d808<TAB>domain=en`` of MultiCoNER."""
    first, *others = line.split("\t")
    return len(first) > len("# ") and first.startswith("# ") and not any(map(looks_like_tag, others))


def header_names(line: str) -> tuple[str, ...]:
    """Return the names of the columns in small letters, if the line is such a header; ``()`` for any other line."""
    names = tuple(cell.strip().lower() for cell in re.split(r"\t|,|;| +", line.strip()))
    whole = {*names, line.split("\t", maxsplit=1)[0].strip().lower()}
    return names if whole & set(TOKEN_NAMES) and set(names[1:]) & set(TAG_NAMES) else ()


def id_in_comment(line: str) -> str | None:
    """Return the id that a comment line gives to the post below it."""
    match = _COMMENT_ID.fullmatch(line)
    return None if match is None else match.group(1) or match.group(2)


def text_in_comment(line: str) -> str | None:
    """Return the text that a comment line gives to the post below it."""
    match = _COMMENT_TEXT.fullmatch(line)
    return None if match is None else match.group(1)


def is_blank(line: str) -> bool:
    """Return true for a line that ends a post: nothing but blanks and tabs."""
    return not line.strip(" \t")


def is_document_start(line: str) -> bool:
    """Return true for ``-DOCSTART-``, which is no token, whatever columns it has."""
    return _DOCUMENT_START.match(line) is not None


def tell_layout(lines: Sequence[str], path: Path, layout: Layout) -> Layout:
    """Complete a layout by the content of the file.

    Args:
        lines: The lines of the file.
        path: Name of the file, for messages.
        layout: The properties that are known; a number of columns or a column of tags that was chosen stays.

    Raises:
        DataError: Nobody can tell which column holds the gold.
    """
    rows = list(_rows(lines, layout))
    layout = replace(layout, tabs=_has_tabs(rows))
    table = [layout.cells(line) for line in rows]
    if layout.columns:
        return layout
    counts = Counter(map(len, table))
    width = max(counts, key=lambda number: counts[number]) if counts else 2
    whole = [cells for cells in table if len(cells) == width]
    token = _token_column(whole, width)
    several = [cells[0] for cells in whole if token == 1 and not cells[0].isdecimal()]
    if several and _NUMBERED.fullmatch(several[0]):
        raise DataError(f"{path}: row {several[0]!r} stands for several tokens, which follow it; take such rows out")
    tag = layout.tag
    if tag is None:
        tag = _tag_column(whole, width, token, path) if width > 2 else 1 - token
    elif not 0 <= tag < width or tag == token:
        raise DataError(f"{path}: there is no column {tag + 1} of tags; a row has {width} column(s)")
    names = ["" if column not in {tag, token} else "TAG" if column == tag else "TOKEN" for column in range(width)]
    names = [name or "…" for name in names] if width > 1 else ["TOKEN", "TAG"]
    return replace(layout, columns=tuple(names), tag=tag, token=token)


def _rows(lines: Sequence[str], layout: Layout) -> Iterator[str]:
    taken = 0
    for line in lines:
        if is_blank(line) or is_document_start(line) or layout.id_of(line) is not None:
            continue
        if (
            line.startswith("#")
            and ("\t" not in line or _is_remark(line))
            and _COMMENT.fullmatch(line)
            and not looks_like_tag(line.split()[-1])
        ):
            continue
        yield line
        taken += 1
        if taken == _ROWS_LOOKED_AT:
            return


def _has_tabs(rows: Sequence[str]) -> bool:
    if any("\t" in line.strip(" \t") for line in rows):
        return True
    # Rows whose token or tag is lacking, unless blanks separate columns and the tabs stand behind them.
    return not any(" " in line.strip(" \t") for line in rows)


def _token_column(table: Sequence[Sequence[str]], width: int) -> int:
    """Return 0, unless most cells of the first column are tags, and of the second fewer, or it numbers rows."""
    if width < 2 or not table:
        return 0
    first, second = (sum(looks_like_tag(cells[column]) for cells in table) for column in (0, 1))
    if 2 * first > len(table) and second < first:
        return 1
    numbered = width > 2 and all(_NUMBERED.fullmatch(cells[0]) for cells in table) and table[0][0][:1] in {"0", "1"}
    return 1 if numbered else 0


def tag_columns(table: Sequence[Sequence[str]], width: int, token: int = 0) -> list[int]:
    """Return the columns that hold tags of entities: of phrases and of parts of speech there may be others."""
    columns = []
    for column in range(width):
        cells = [row[column] for row in table]
        meant = sum(cell in _CONTEXT or looks_like_tag(cell) for cell in cells)
        if column != token and cells and 2 * meant > len(cells) and not are_chunks(filter(is_tag, cells)):
            columns.append(column)
    return columns


def _tag_column(table: Sequence[Sequence[str]], width: int, token: int, path: Path) -> int:
    columns = tag_columns(table, width, token)
    if not columns:
        chunks = [
            number + 1
            for number in range(width)
            if number != token and types_of(filter(is_tag, (row[number] for row in table))) & CHUNK_TYPES
        ]
        reason = f"column {chunks[0]} holds tags of phrases (NP, VP), which are no entities" if chunks else (
            f"none of the {width} columns holds tags (O, B-<type>, I-<type>)"
        )  # fmt: skip
        raise DataError(f"{path}: {reason}; add a column of tags of entities")
    if any(row[column] != row[columns[0]] for row in table for column in columns[1:]):
        names = " and ".join(str(column + 1) for column in columns)
        raise DataError(
            f"{path}: columns {names} hold tags that differ (gold and prediction, or two annotators?); choose the "
            f"column of the gold with 'import {path} --column tags={columns[0] + 1}', or cut the others "
            f"(coarse and fine types are read as fmnerg:{path})"
        )
    return columns[0]


def find_tag_columns(lines: Sequence[str]) -> list[int]:
    """Return the columns of tags of a file, counted from 0."""
    layout = Layout(needs_header=False)
    rows = list(_rows(lines, layout))
    layout = replace(layout, tabs=_has_tabs(rows))
    table = [layout.cells(line) for line in rows]
    counts = Counter(map(len, table))
    width = max(counts, key=lambda number: counts[number]) if counts else 0
    whole = [cells for cells in table if len(cells) == width]
    return tag_columns(whole, width, _token_column(whole, width))


def is_columns(path: Path) -> bool:
    """Return true for a file of a token and its tag a line, or one that was meant as such.

    Meant as such are rows of one width of which some end with ``O`` or all have tabs, and rows whose last piece is a
    tag after any white space or comma, in capitals or not: read as plain text, they would be wrong in silence.
    """
    rows = tagged = outside = tabbed = ending = 0
    widths: set[int] = set()
    for line in islice(stream_lines(path), _LINES_LOOKED_AT):
        text = line.text.strip(" \t")
        if not rows and set(header_names(text)) & set(GROUP_NAMES) and path.suffix.lower() == ".tsv":
            return False
        if not text or text.startswith(("#", "IMGID:", "WID:")) or is_document_start(text):
            continue
        cells = text.split("\t") if "\t" in text else text.split(" ")
        rows += 1
        widths.add(len(cells))
        outside += cells[-1] == "O"
        tabbed += "\t" in text
        tagged += len(cells) > 1 and any(looks_like_tag(cell.strip(" ")) for cell in cells)
        ending += _ENDS_WITH_TAG.search(text) is not None
    meant = len(widths) == 1 and 1 not in widths and (outside > 0 or tabbed == rows)
    table = path.suffix.lower() in {".tsv", ".csv"}
    return rows > 0 and (2 * tagged > rows or (not table and (meant or 2 * ending > rows)))
