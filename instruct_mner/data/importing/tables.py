r"""Tables: CSV and TSV with a header, and Excel; one post a row, one token a row, or one mention a row.

::

    id,text,image,entities                                  Sentence #,Word,Tag          id,text,start,end,label
    1,Anna left,7.png,"[{""start"": 0, ""end"": 4, …}]"     Sentence: 1,Anna,B-PER       1,Anna met Bo,0,4,PER
                                                            ,left,O                      1,Anna met Bo,9,11,PER
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice, zip_longest
from pathlib import Path

from instruct_mner.data.importing.cells import ends_lines_with_returns, read_cells
from instruct_mner.data.importing.excel_cells import why_unread
from instruct_mner.data.importing.generic import parse_cell
from instruct_mner.data.importing.mention_rows import MentionColumns, gathered_mentions, lacks_texts, mention_columns
from instruct_mner.data.importing.posts import Fault
from instruct_mner.data.importing.roles import ID_NAMES, TEXT_NAMES
from instruct_mner.data.importing.row_groups import Chosen, Numbered
from instruct_mner.data.importing.token_rows import TokenColumns, gathered_tokens, token_columns
from instruct_mner.errors import DataError

_ROWS_LOOKED_AT = 200
_ROLES_OF_STRINGS = ("text", "id")


@dataclass
class Table:
    """A table.

    Attributes:
        path: File of the table.
        chosen: Columns by role, as the user says.
        notes: Lines for the user.
        newlines_alone: True to read a carriage return and a newline in a cell of text as a newline.
    """

    path: Path
    chosen: Chosen = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    newlines_alone: bool = False

    def rows(self) -> Iterator[tuple[int, dict[str, object] | Fault]]:
        """Read the rows as objects, each with its number; of one token or mention a row, those of a post as one.

        Raises:
            DataError: It cannot be read, or has no header.
        """
        rows, layout = self._cells(self._words), self._layout
        if isinstance(layout, TokenColumns):
            gathered: Iterator[tuple[int, dict[str, object] | Fault]] = gathered_tokens(
                rows, layout, self.chosen, self.path, self.notes
            )
        elif isinstance(layout, MentionColumns):
            self._note(layout.note(self.path))
            gathered = gathered_mentions(rows, layout, self.chosen, self.path, self.notes)
        else:
            gathered = chain(rows)
        strings = self._strings
        for number, row in gathered:
            if isinstance(row, Fault):
                yield number, row
            else:
                yield number, {name: cell if name in strings else parse_cell(cell) for name, cell in row.items()}

    @cached_property
    def roles(self) -> Mapping[str, str]:
        """Columns by role, where the layout tells them."""
        carried = self.chosen.get("meta", ())
        return {} if self._layout is None else {
            role: name for role, name in self._layout.roles.items() if name not in carried
        }  # fmt: skip

    @property
    def mention_columns(self) -> MentionColumns | None:
        """Columns of a table of one mention a row; ``None`` for any other table."""
        return self._layout if isinstance(self._layout, MentionColumns) else None

    @cached_property
    def _head(self) -> list[dict[str, object]]:
        return [row for _, row in islice(self._cells(), _ROWS_LOOKED_AT)]

    @cached_property
    def _layout(self) -> TokenColumns | MentionColumns | None:
        layout = token_columns(self._head, self.chosen) or mention_columns(self._head, self.chosen)
        if layout is None and lacks_texts(self._head, self.chosen):
            raise DataError(
                f"{self.path}: one mention a row needs the text of its post, and no column holds it; add a column "
                "'text'"
            )
        return layout

    @cached_property
    def _strings(self) -> frozenset[str]:
        """Columns whose cells are no JSON, whatever they begin with: a text, or an id, may be ``[1, 2]``."""
        said = {name for role in _ROLES_OF_STRINGS for name in self.chosen.get(role, ())}
        said |= {self.roles[role] for role in _ROLES_OF_STRINGS if role in self.roles}
        others = {name for role, names in self.chosen.items() if role not in _ROLES_OF_STRINGS for name in names}
        by_name = {name for row in self._head for name in row if name.lower() in {*TEXT_NAMES, *ID_NAMES}} - others
        return frozenset(said | {name for name in by_name if name.lower() in ID_NAMES or not self._holds_lists(name)})

    def _holds_lists(self, name: str) -> bool:
        cells = [row[name] for row in self._head if row.get(name) is not None]
        return bool(cells) and all(isinstance(parse_cell(cell), list | dict) for cell in cells)

    @cached_property
    def _words(self) -> frozenset[str]:
        """Columns of texts, tokens and mentions, whose cells are read as they are shown."""
        names = {*self.chosen.get("text", ("text",))}
        if isinstance(self._layout, TokenColumns):
            names = {self._layout.token}
        elif isinstance(self._layout, MentionColumns):
            names = {self._layout.text, self._layout.surface or ""}
        return frozenset(names)

    def _cells(self, words: frozenset[str] = frozenset()) -> Iterator[Numbered]:
        return self._of_excel(words) if self._is_excel else self._of_text()

    @property
    def _is_excel(self) -> bool:
        return self.path.suffix.lower() in {".xlsx", ".xlsm"}

    @property
    def may_be_converted(self) -> bool:
        """True where a program that converted the ends of all lines may have put carriage returns into texts."""
        return not self._is_excel and not self.newlines_alone and ends_lines_with_returns(self.path)

    def _of_text(self) -> Iterator[Numbered]:
        rows = read_cells(self.path, self.notes, newlines_alone=self.newlines_alone)
        _, header = next(rows, (1, []))
        self._check_header(header)
        for number, cells in rows:
            yield number, self._named(header, cells, number)

    def _of_excel(self, words: frozenset[str]) -> Iterator[Numbered]:
        try:
            import openpyxl
        except ImportError:
            raise DataError(
                f"{self.path}: Excel needs openpyxl: pip install openpyxl, or save the sheet as CSV"
            ) from None
        try:
            book = openpyxl.load_workbook(self.path, read_only=True, data_only=True)
        except Exception as error:
            raise DataError(f"{self.path}: cannot be read as Excel: {error}; save it as .xlsx or CSV") from None
        sheet, *others = book.worksheets
        full = [
            other.title for other in others if any(map(any, islice(other.iter_rows(values_only=True), _ROWS_LOOKED_AT)))
        ]
        if full:
            raise DataError(
                f"{self.path}: holds several sheets ({sheet.title}, {', '.join(full)}), of which only the first would "
                "be read; save each as a file of its own"
            )
        rows = sheet.iter_rows()
        header = ["" if cell.value is None else str(cell.value) for cell in next(rows, ())]
        while header and not header[-1]:
            header.pop()
        self._check_header(header)
        for number, row in enumerate(rows, start=2):
            for name, cell in zip(header, row, strict=False):
                if name and (reason := why_unread(cell, words=name in words)) is not None:
                    raise DataError(f"{self.path}:{number}: cell {cell.coordinate} {reason}")
            cells = [cell.value for cell in row]
            values = self._named(header, cells, number)
            if None in cells[: len(header)]:
                self._check_formulas(number)
            if any(value is not None for value in values.values()):
                yield number, values

    def _check_formulas(self, number: int) -> None:
        """Raise a DataError for a formula in a row whose value was never stored, as where a program wrote the file."""
        if number in self._formulas:
            cell, formula = self._formulas[number]
            raise DataError(
                f"{self.path}:{number}: cell {cell} is a formula without a value ({formula[:40]!r}); open the file in "
                "a spreadsheet and save it, or, where it is a text, write it as one"
            )

    @cached_property
    def _formulas(self) -> dict[int, tuple[str, str]]:
        """First formula without a value in each row, with its cell."""
        import openpyxl

        sheets = [
            openpyxl.load_workbook(self.path, read_only=True, data_only=data_only).worksheets[0]
            for data_only in (False, True)
        ]
        formulas: dict[int, tuple[str, str]] = {}
        for written, stored in zip(*(sheet.iter_rows() for sheet in sheets), strict=True):
            for cell, value in zip(written, stored, strict=True):
                if cell.data_type == "f" and value.value is None:
                    formulas.setdefault(cell.row, (cell.coordinate, str(cell.value)))
        return formulas

    def _check_header(self, header: Sequence[str]) -> None:
        if header and header[0].startswith("sep="):
            raise DataError(f"{self.path}:1: {header[0]!r} is a mark for Excel and no header; take the line out")
        if not any(header):
            raise DataError(f"{self.path}:1: the table is empty; expected a header with the names of its columns")
        twice = sorted({name for name in header if name and header.count(name) > 1})
        if twice:
            raise DataError(f"{self.path}:1: column {twice[0]!r} is given twice; rename one of them")
        if not header[0]:
            self._note(f"{self.path}: left out, because it has no name and numbers the rows: the first column")

    def _named(self, header: Sequence[str], cells: Sequence[object], number: int) -> dict[str, object]:
        """Return the cells of a row by the names of their columns.

        Raises:
            DataError: A cell stands in a column without a name, and is no number of a row as pandas writes it.
        """
        row = {}
        for column, (name, cell) in enumerate(zip_longest(header, cells)):
            if name:
                row[name] = None if cell == "" else cell
            elif cell not in {None, ""} and not (column == 0 and str(cell).isdecimal()):
                raise DataError(
                    f"{self.path}:{number}: cell {str(cell)[:40]!r} stands in a column without a name; name it in the "
                    "first row, or empty the cell"
                )
        return row

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)
