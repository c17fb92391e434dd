r"""The table of an experiment as LaTeX: no wider than the page, with notes and sources below it.

Source: https://ctan.org/pkg/booktabs, and https://ctan.org/pkg/graphicx for ``\resizebox``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise

from instruct_mner.experiment.table import ExperimentTable

_SIGNS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$", "|": r"\textbar{}",
    "-": "-{}", "'": "'{}", ",": ",{}", "`": "{}`", "\u00a0": "~", "±": r"$\pm$", "×": r"$\times$", "÷": r"$\div$",
    "¬": r"$\neg$", "–": "--", "—": "---", "−": r"$-$", "…": r"\ldots{}", "µ": r"$\mu$",
}  # fmt: skip
# Two of them in a row are one sign to TeX, such as a dash; alone they stay as they are.
_IN_PAIRS = frozenset("-',")
# What an 8-bit LaTeX sets in the encoding T1: Latin with accents, and marks of punctuation. Of the block Latin
# Extended-A these are not in it.
_LAST_LATIN = 0x17F
_NOT_LATIN = frozenset("ĦħĸĿŀŉŦŧſ\u00ad")
_PUNCTUATION = frozenset("‘’‚“”„†‡•‰‹›€™")
# Characters of no width, and marks of direction, show nothing.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})

# The sign of a number, as in (-1.5), and no hyphen, as in GPT-4.
_NEGATIVE = re.compile(r"(?<![^\s(])-(?=\d)")

Cells = Sequence[str]


def latex(table: ExperimentTable, cells: Sequence[Cells]) -> str:
    """Return the table as a LaTeX table.

    Args:
        table: The table.
        cells: Cells of each row, the heading first.
    """
    head, *rows = cells
    own = len(table.rows) + (table.not_visible_baseline is not None)
    notes = [note for note in table.notes if not note.startswith("Command:")]
    body = [row_of(row) for row in rows]
    lines = [
        *_comments([table.title, *notes, *(cell for row in cells for cell in row)]),
        r"\begin{table*}", r"  \centering", rf"  \caption{{{escape(table.title)}}}",
        r"  \setlength{\tabcolsep}{3pt}",
        r"  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"  \begin{{tabular}}{{l{'r' * (len(head) - 1)}}}", r"    \toprule", f"    {row_of(head)}", r"    \midrule",
        *(f"    {line}" for line in body[:own]), *([r"    \midrule"] if body[own:] else []),
        *(f"    {line}" for line in body[own:]), r"    \bottomrule", r"  \end{tabular}}",
        r"  \par\medskip", r"  \begin{minipage}{\linewidth}\footnotesize\raggedright",
        *(f"  {escape(note)}" for note in notes), *_sources(table), r"  \end{minipage}", r"\end{table*}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def row_of(cells: Cells) -> str:
    r"""Return a row, ended by ``\\``; a first cell with a bracket or star would be an argument of the row before."""
    first, *others = map(escape, cells)
    return " & ".join([f"{{{first}}}" if first.startswith(("[", "*")) else first, *others]) + r" \\"


def escape(text: str) -> str:
    """Return a text with the signs of LaTeX escaped, as one line without invisible characters."""
    line = unicodedata.normalize("NFC", " ".join(_NEGATIVE.sub("−", text).split()))
    pieces = []
    for character, following in pairwise(f"{line} "):
        if unicodedata.category(character) in _INVISIBLE:
            continue
        alone = character in _IN_PAIRS and following not in _IN_PAIRS
        pieces.append(character if alone else _SIGNS.get(character, character))
    return "".join(pieces)


def beyond_latin(text: str) -> list[str]:
    """Return the characters of an escaped text, each once, that an 8-bit LaTeX does not set."""
    known = _PUNCTUATION.union(map(chr, range(_LAST_LATIN + 1))) - _NOT_LATIN
    return sorted(set(text) - known)


def _comments(texts: Sequence[str]) -> Iterator[str]:
    yield r"% \usepackage[T1]{fontenc}"
    yield r"% \usepackage{booktabs,graphicx,url}"
    foreign = beyond_latin("".join(map(escape, texts)))
    if foreign:
        yield f"% For xelatex or lualatex, with a font that holds {' '.join(foreign)} (pdflatex has no such signs)."


def _sources(table: ExperimentTable) -> Iterator[str]:
    links = {row.link: row.source for row in table.published if row.link is not None}
    if links:
        listed = "; ".join(rf"{escape(source or 'paper')}: \url{{{link}}}" for link, source in links.items())
        yield f"  Sources: {listed}."
