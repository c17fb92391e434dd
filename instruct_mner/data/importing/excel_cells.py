"""Cells of Excel whose values are not what they show: errors, and numbers, dates and truth values in place of words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openpyxl.cell import Cell

ERRORS = frozenset({
    "#NAME?", "#REF!", "#VALUE!", "#DIV/0!", "#NUM!", "#NULL!", "#N/A", "#SPILL!", "#CALC!", "#FIELD!", "#BLOCKED!",
    "#GETTING_DATA",
})  # fmt: skip
"""Errors as spreadsheets show them, and write them into CSV."""
_ERROR = "e"
_REMEDY = "format its column as text, and write it there again as it is to be read"
# Formats in which a whole number is shown by its digits alone.
_PLAIN_FORMATS = frozenset({"General", "0", "@"})


def why_unread(cell: Cell, *, words: bool) -> str | None:
    """Return why a cell cannot be read, with what to do; ``None`` for one that can.

    Args:
        cell: The cell.
        words: True where the cell is read as it is shown: of a text, a token or a mention.
    """
    if cell.data_type == _ERROR:
        return f"shows the error {cell.value}, as where a text begins with a sign of formulas (=, -, @); {_REMEDY}"
    value = cell.value
    plain = type(value) is int and cell.number_format in _PLAIN_FORMATS
    if not words or value is None or isinstance(value, str) or plain:
        return None
    return f"holds {str(value)[:40]!r}, which is no text, and is shown otherwise than it is stored; {_REMEDY}"
