"""Gate of the tables of experiments: a real LaTeX sets them, and refuses tables that are broken.

``pdflatex`` with booktabs comes with the package texlive-latex-recommended of Debian.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from eval.gates.common import Result, SkippedGateError, seeded
from instruct_mner.experiment.arms import Arm, known_arms
from instruct_mner.experiment.latex import beyond_latin
from instruct_mner.experiment.published import published_scores
from instruct_mner.experiment.render import latex
from instruct_mner.experiment.table import GMNER, MICRO, SPAN_ONLY, ArmRow, ExperimentTable
from instruct_mner.scoring.seeds import ArmDifference, ArmScore

_ENGINE = "pdflatex"
_DOCUMENT = "\\documentclass{{article}}\n{packages}\n\\begin{{document}}\n{table}\\end{{document}}\n"
_PACKAGE = re.compile(r"^% (\\usepackage.*)$", re.MULTILINE)
_OVERFULL = re.compile(r"^Overfull \\hbox \((\d+(?:\.\d+)?)pt too wide\)", re.MULTILINE)
# A hair over the edge is seen by nobody.
_MOST_OVERFULL_PT = 5.0
_PAGES = re.compile(r"Output written on \S+ \((\d+) page")

_NAMES = (
    "my_arm_2", "50 % of train", "R&D", "#1", "a ± b", "[boxes]", "*best*", "x^2 ~ y", "{braces}", r"back\slash",
    "a -- b --- c", "$5 < $6 > 4 | 3", "«Ærø» čšž łódź", "“quoted” ‘so’ … – —", 'say "hi"', "d'accord ''", "?` !`",
    "\ttabs\nand lines", "zero\u200bwidth \u200fright", "e\u0301 decomposed",
)  # fmt: skip


class BrokenTableError(Exception):
    """Error of a table that LaTeX does not set on one page without a complaint."""


def engine() -> str:
    """Return the program.

    Raises:
        SkippedGateError: It is not on this machine.
    """
    program = shutil.which(_ENGINE)
    if program is None:
        raise SkippedGateError(f"there is no {_ENGINE} on PATH (Debian: texlive-latex-recommended)")
    return program


def check_latex(table: str) -> None:
    """Set a table, in a document with the packages that it names, on one page.

    Args:
        table: Text of a ``table.tex``.

    Raises:
        BrokenTableError: LaTeX refuses it, lacks a sign, sets no page or several, or the table is wider than the page.
        SkippedGateError: There is no LaTeX.
    """
    program = engine()
    with tempfile.TemporaryDirectory() as folder:
        packages = "\n".join(_PACKAGE.findall(table))
        (Path(folder) / "t.tex").write_text(_DOCUMENT.format(packages=packages, table=table), encoding="utf-8")
        # DVI needs no outlines of the fonts, which Debian has in other packages; no shell, no file outside the folder.
        arguments = ["-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "-output-format=dvi", "t.tex"]
        status = subprocess.run(  # noqa: S603 (LaTeX)
            [program, *arguments], cwd=folder, capture_output=True, check=False, timeout=60
        ).returncode
        log = (Path(folder) / "t.log").read_text(encoding="utf-8", errors="replace")
    errors = [line for line in log.splitlines() if line.startswith(("!", "Missing character"))]
    if status or errors:
        raise BrokenTableError("; ".join(errors) or f"exit code {status}")
    pages = _PAGES.search(log.replace("\n", ""))
    if pages is None or pages[1] != "1":
        raise BrokenTableError("no page" if pages is None else f"{pages[1]} pages")
    wide = [float(points) for points in _OVERFULL.findall(log)]
    if max(wide, default=0.0) > _MOST_OVERFULL_PT:
        raise BrokenTableError(f"{max(wide):.0f} pt wider than the page")


def made_table(name: str | None, arms: tuple[str, ...], labels: tuple[str, ...], title: str) -> ExperimentTable:
    """Return a table with made-up scores.

    Args:
        name: Name of a published set, whose published scores are rows.
        arms: Names of the arms.
        labels: Names of the types.
        title: Title of the table.
    """
    generator = seeded(27)
    names = (GMNER, MICRO, *(f"per_type.{label}" for label in labels), SPAN_ONLY)

    def score(first: bool) -> ArmScore:
        values = tuple(generator.random() for _ in range(3))
        against = ArmDifference(difference=-0.01, low=-0.2, high=0.1, p_value=0.01, adjusted_p_value=0.03)
        return ArmScore(values=values, low=min(values), high=max(values), against_first=None if first else against)

    known = known_arms()
    rows = tuple(
        ArmRow(
            arm=known.get(arm) or Arm(name=arm),
            seeds=(0, 1, 2),
            scores={each: score(not number) for each in names},
            rejected=0.0125,
        )
        for number, arm in enumerate(arms)
    )
    return ExperimentTable(
        title=title,
        score_names=names,
        rows=rows,
        not_visible_baseline=0.5,
        published=published_scores(name),
        notes=(f"Labels: {', '.join(labels)}.", f"Test: my_set_2/test #1, {title}.", "Command: a_b"),
        missing=(),
    )


def _tables() -> Mapping[str, ExperimentTable]:
    types = ("PER", "LOC", "ORG", "OTHER")
    model = "Qwen/Qwen2.5-VL-7B_Instruct & 100 % #1"
    tables = {
        name: made_table(name, tuple(known_arms()), types, f"{name}, {model}")
        for name in ("twitter2015", "twitter2017", "gmner", "fmnerg")
    }
    latin = [character for code in range(0xA1, 0x180) if not beyond_latin(character := chr(code))]
    return tables | {
        "one arm": made_table(None, ("plain",), types[:1], "t"),
        "signs": made_table("twitter2017", _NAMES, _NAMES[:6], " ".join(_NAMES)),
        "200 types": made_table(None, ("plain", "ita"), tuple(f"type_{at}" for at in range(200)), "t"),
        "all of Latin-1 and Latin Extended-A": made_table(None, ("plain",), (" ".join(latin),), "t"),
    }


def _broken() -> Mapping[str, str]:
    """Return a table with one thing broken each, which must be refused."""
    table = made_table("twitter2017", ("plain", "my_arm"), ("PER", "LOC"), "t")
    text = latex(table)
    return {
        "underscore": text.replace(r"my\_arm", "my_arm"),
        "ampersand": text.replace("BERT, text only", "BERT & text only"),
        "brace": text.replace(r"\end{tabular}}", r"\end{tabular}"),
        "bracket after a row": text.replace("    UMT 2020", "    [UMT] 2020"),
        "package": text.replace("booktabs,", ""),
        "width": re.sub(r"\\resizebox.*%\n", "{%\n", text),
        "sign that pdflatex has not": latex(replace(table, title="人名")),
        "no table": "",
    }


def latex_tables() -> Result:
    """Set tables of experiments with every sign by pdflatex, and refuse broken ones."""
    wrong = {}
    tables = _tables()
    for name, table in tables.items():
        try:
            check_latex(latex(table))
        except BrokenTableError as error:
            wrong[name] = str(error)
    taken = []
    broken = _broken()
    for name, text in broken.items():
        try:
            check_latex(text)
        except BrokenTableError:
            continue
        taken.append(name)
    return Result(
        value={"tables": len(tables), "wrong": wrong, "broken": len(broken), "broken and taken": taken},
        bound="every table is set on one page, no wider than it, and each broken one is refused",
        passed=not wrong and not taken,
    )
