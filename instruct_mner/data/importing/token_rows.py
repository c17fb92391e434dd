r"""Tables of one token a row.

::

    Sentence #,Word,Tag,POS,image
    Sentence: 1,Anna,B-PER,NNP,7.png
    ,left,O,VBD,
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from instruct_mner.data.column_layout import GROUP_NAMES, TAG_NAMES, TOKEN_NAMES
from instruct_mner.data.importing.excel_cells import ERRORS
from instruct_mner.data.importing.row_groups import Chosen, Numbered, RowGroup, further_columns, named
from instruct_mner.data.tag_schemes import is_tag
from instruct_mner.errors import DataError


@dataclass(frozen=True)
class TokenColumns:
    """Columns of a table of one token a row.

    Attributes:
        group: Column that tells the posts; ``None`` where there is none.
        token: Column of the token.
        tag: Column of the tag.
    """

    group: str | None
    token: str
    tag: str

    @property
    def roles(self) -> Mapping[str, str]:
        """Columns by role."""
        return {"tokens": self.token, "tags": self.tag, **({} if self.group is None else {"id": self.group})}


def token_columns(rows: Sequence[Mapping[str, object]], chosen: Chosen) -> TokenColumns | None:
    """Return the columns of a table of one token a row; ``None`` for any other table.

    Args:
        rows: Rows from its beginning.
        chosen: Columns by role, as the user says.
    """
    token, tag = named(rows, TOKEN_NAMES, chosen, "tokens"), named(rows, TAG_NAMES, chosen, "tags")
    if token is None or tag is None or token in chosen.get("text", ()):
        return None
    tags = [row[tag] for row in rows if row.get(tag) is not None]
    if not tags or not all(isinstance(each, str) and is_tag(each) for each in tags):
        return None
    return TokenColumns(named(rows, GROUP_NAMES, chosen, "id"), token, tag)


def gathered_tokens(
    rows: Iterable[Numbered], columns: TokenColumns, chosen: Chosen, path: Path, notes: list[str]
) -> Iterator[Numbered]:
    """Yield a row for each post, with lists of its tokens and tags.

    Args:
        rows: Rows of the table.
        columns: Columns of the token, of the tag and of the post.
        chosen: Columns by role, as the user says.
        path: Name of the table, for messages.
        notes: Lines for the user, to which one is added where further columns differ within a post.

    Raises:
        DataError: A row is of no post, or is no token with a tag.
    """
    groups = list(_groups(rows, columns, path))
    known = {columns.token, columns.tag, str(columns.group)}
    others = further_columns(groups, known, chosen, path, notes, fills_down=True)
    for group, other in zip(groups, others, strict=True):
        tokens = ["" if row.get(columns.token) is None else str(row[columns.token]) for row in group.rows]
        tags = [row[columns.tag] for row in group.rows]
        yield group.number, {str(columns.group): group.key, columns.token: tokens, columns.tag: tags, **other}


def _groups(rows: Iterable[Numbered], columns: TokenColumns, path: Path) -> Iterator[RowGroup]:
    if columns.group is None:
        raise DataError(f"{path}: one token a row, and no column says which post it is of; add a column sentence_id")
    group: RowGroup | None = None
    for number, row in rows:
        token, key = row.get(columns.token), row.get(columns.group)
        if row.get(columns.tag) is None:
            raise DataError(f"{path}:{number}: token {token!r} has no tag in column {columns.tag!r}")
        if token in ERRORS:
            raise DataError(
                f"{path}:{number}: token {token!r} is an error of a spreadsheet, as it makes of a token that begins "
                "with =, - or @; write the token in its place"
            )
        if "\n" in str(token).strip():
            raise DataError(
                f"{path}:{number}: token {str(token)[:40]!r} holds line breaks, as where a bare quote begins a cell; "
                'write a token that is a quote as """"'
            )
        if group is not None and key in {None, group.key}:
            group.add(number, row)
            continue
        if key is None:
            raise DataError(
                f"{path}:{number}: column {columns.group!r} is empty, and no row above says which post it is of"
            )
        if group is not None:
            yield group
        group = RowGroup(key, [(number, row)])
    if group is not None:
        yield group
