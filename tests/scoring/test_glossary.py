"""Every column and number that a report prints is explained, and every table fits 80 columns."""

from __future__ import annotations

import dataclasses
import io
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scoring_cases import GOLD, TEXT, as_perfect, gold_post, report_of

from instruct_mner.data.validation import Counts, table
from instruct_mner.scoring import glossary
from instruct_mner.scoring.bootstrap import Interval
from instruct_mner.scoring.calibration import Estimate, Reliability, Scaling
from instruct_mner.scoring.reliability import CalibrationReport
from instruct_mner.scoring.reliability import render as render_calibration
from instruct_mner.scoring.table import _difference_table, _score_table, plain_table, print_report, render
from instruct_mner.synthetic.write import Written, bounds_table, slices

LONG = "A_label_of_forty_characters_is_this_one_"
README = Path(__file__).parents[2] / "README.md"


def printed(renderable: object) -> str:
    file = io.StringIO()
    Console(file=file, width=glossary.WIDTH).print(renderable)
    return file.getvalue()


def widest(text: str) -> int:
    return max(map(len, text.splitlines()))


def long_report():
    """Two systems on a label of 40 characters, and files with long names."""
    gold = [gold_post("1", TEXT, ("Bob", LONG))]
    report = report_of(as_perfect(gold), gold=gold, compared=as_perfect(gold))
    name = "runs/" + "a_run_with_a_very_long_name_" * 3 + ".jsonl"
    stamp = dataclasses.replace(report.gold, name=name, known="Twitter-2015 (original labels), test")
    return dataclasses.replace(report, predicted=name, gold=stamp)


def test_every_column_and_row_has_its_meaning() -> None:
    report = report_of(compared=as_perfect(GOLD))
    scores, differences = _score_table(report), _difference_table(report.comparison, "b")
    columns = {str(column.header) for each in (scores, differences) for column in each.columns} - {""}
    rows = {str(cell) for each in (scores, differences) for cell in each.columns[0]._cells} - {""}
    meanings = {**glossary.SCORE_TERMS, **glossary.TRIPLE_TERMS, **glossary.COMPARISON_TERMS}
    assert columns | (rows - set(report.per_type)) <= set(meanings)
    text = " ".join(printed(render(report)).split())
    for note in re.findall(r"(?:\d+) ([a-z]+) \(", text):
        assert note in meanings
    for line in ("rejected", "entities per post", "baseline"):
        assert line in text
        assert line in meanings


def test_every_number_of_data_has_its_meaning() -> None:
    counts = _counts("set/test", {"PER": 1})
    _, head, *_ = table([counts], "tolerant")
    assert set(re.split(r"  +", head.strip())) <= set(glossary.DATA_TERMS)
    assert "not annotated" in "\n".join(table([counts], "tolerant"))


def test_every_number_of_the_other_commands_has_its_meaning() -> None:
    """Columns and rows of `calibrate`, `synth` and `demo`, words of `finetune`; the guide has the latter three."""
    estimate, bins = Estimate(0.1, Interval(0.0, 0.2, 0.1)), np.ones(1)
    reliability = Reliability(ece=estimate, brier=estimate, confidence=bins, accuracy=bins, mass=np.ones(1, np.int64))
    report = CalibrationReport(
        scaling=Scaling(temperature=1.0, shift=0.0), fitted_on="x", measured_on="x", num_posts=1, num_entities=1,
        num_right=1,
        before=reliability, after=reliability, manifest=Path("mner.json"), plot=Path("a.png"),
    )  # fmt: skip
    text = printed(render_calibration(report))
    assert widest(text) <= glossary.WIDTH
    numbers = {"ECE", "95 %", "Brier score", "temperature", "shift", "before", "after", "right", "bins"}
    assert all(word in text for word in numbers)
    assert numbers <= glossary.CALIBRATION_TERMS.keys()

    table = bounds_table(Written(Path(LONG), tuple((name, 9, 1.0, 1.0) for name in ("all", *slices())), ()))
    names = ("all", *slices())
    words = {part for name in names for part in re.split("one mention, |several, ", name) if part}
    assert {str(column.header) for column in table.columns} | words <= glossary.SYNTHETIC_TERMS.keys()
    assert widest(printed(table)) <= glossary.WIDTH

    guide = (README.parent / "docs" / "GUIDE.md").read_text(encoding="utf-8")
    for terms in (glossary.SYNTHETIC_TERMS, glossary.DEMO_TERMS, glossary.TRAINING_TERMS):
        assert all(f"**{term}**: {meaning}" in guide for term, meaning in terms.items())


def _counts(name: str, by_label: dict[str, int]) -> Counts:
    return Counts(
        name=name, format="fmnerg-coarse", path="x", sha256="0" * 64, known=None, num_posts=1_234_567,
        num_unannotated=3,
        num_entities={"tolerant": 1_234_567, "strict": 1_234_567}, num_by_label=by_label, num_with_pictures=1_234_567,
        num_missing_pictures=1_234_567, num_posts_lacking=0, num_groundable=None, num_unsayable=0, notes=(),
    )  # fmt: skip


def test_tables_fit_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(render(long_report()))
    assert widest(text) <= glossary.WIDTH
    assert LONG in "".join(re.findall(r"^(\S+)", text, re.MULTILINE))
    print_report(long_report(), explained=True)
    assert widest(capsys.readouterr().out) <= glossary.WIDTH
    lines = table([_counts("a_long_name_of_a_folder/test", {f"{LONG}{n}": 99_999 for n in range(9)})], "tolerant")
    assert widest("\n".join(lines)) <= glossary.WIDTH
    assert f"{LONG}8 99999" in " ".join("\n".join(lines).split())


def test_meanings_fit_and_stand_below_each_other() -> None:
    groups = [glossary.DATA_TERMS, glossary.SCORE_TERMS, glossary.TRIPLE_TERMS, glossary.COMPARISON_TERMS,
              glossary.CALIBRATION_TERMS]  # fmt: skip
    text = glossary.explain(*groups)
    assert widest(text) <= glossary.WIDTH
    assert all(term in text for group in groups for term in group)


@pytest.mark.parametrize("term", ["tolerant", "groundable", "rejected", "unplaceable", "malformed", "hallucinated"])
def test_the_readme_explains_the_words_that_nobody_knows(term: str) -> None:
    assert f"`{term}`" in README.read_text(encoding="utf-8")


def test_the_table_of_the_demo_fits() -> None:
    table = plain_table("F1, %")
    for head in ("starter, zero-shot", "fine-tuned", "best possible"):
        table.add_column(head, justify="right")
    table.add_row("span and type, pictures shuffled", "100.0", "100.0", "100.0")
    assert widest(printed(table)) <= glossary.WIDTH
    assert "span and type, pictures shuffled" in printed(table)
