"""Tables of an experiment from predictions as its runs leave them."""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from made_experiment import SPLITS, plan_of, write_run

from eval.gates.latex import BrokenTableError, check_latex
from instruct_mner.experiment import published, table
from instruct_mner.experiment.latex import escape, row_of
from instruct_mner.experiment.render import comma_separated, latex, markdown
from instruct_mner.experiment.scores import read_test, score_run, write_report
from instruct_mner.experiment.table import ExperimentTable, make_table

RIGHT = {"plain-0": 1, "plain-1": 2, "ita-0": 2, "ita-1": 2, "zero-shot-0": 0}


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExperimentTable:
    plan = plan_of(tmp_path, ["plain", "ita", "zero-shot"], seeds=3)
    test = read_test(plan)
    scored = []
    for run in plan.runs():
        if run.name in RIGHT:
            write_run(run, RIGHT[run.name])
            scored.append(score_run(run, test))
            write_report(scored[-1])
    monkeypatch.setattr(table, "set_known_as", lambda known: "twitter2017")
    return make_table(plan, scored, num_resamples=200)


def test_every_arm_has_a_row_and_what_is_missing_is_named(made: ExperimentTable) -> None:
    assert [(row.arm.name, row.seeds) for row in made.rows] == [("plain", (0, 1)), ("ita", (0, 1)), ("zero-shot", (0,))]
    plain, ita, zero = (row.scores["micro"] for row in made.rows)
    # 4 of 8 entities, then 7 of 8: F1 of 2 * 4 / 12 and 2 * 7 / 15.
    assert plain.values == pytest.approx((8 / 12, 14 / 15))
    assert plain.against_first is None
    assert ita.against_first is not None
    assert ita.against_first.difference == pytest.approx((14 / 15 - 8 / 12) / 2)
    assert zero.against_first is not None
    assert zero.against_first.difference < 0
    assert made.missing == ("plain-2", "ita-2")
    text = markdown(made)
    assert "| plain | 2 | 80.00 ± 18.86 |" in text
    assert "- Not complete: plain-2, ita-2. Run the same command again.\n- " in text
    assert "Not complete: plain-2, ita-2. Run the same command again." in latex(made)
    assert "Fewer than 3 seeds" in text
    assert "| ITA 2022 [summary] https://arxiv.org/abs/2112.06482 |  | 89.75 |" in text
    assert "BGA-MNER 2023, no picture at inference [unchecked]" in text
    assert "unchecked: could not be checked" in text
    for beside in ("sha256", "decoding of BIO tags tolerant", "test chose nothing", "text-only", "Holm"):
        assert beside in text


def test_a_report_says_that_posts_were_tagged_with_other_pictures(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, ["plain", "shuffled", "text-only"], seeds=1)
    test, pictures = read_test(plan), {}
    for run in plan.runs():
        write_run(run, 1)
        write_report(score_run(run, test))
        pictures[run.arm.name] = json.loads(run.report.read_text())["origin"]["pictures"]
    # A model that reads text only misses no picture.
    assert pictures == {"plain": "own", "shuffled": "shuffled", "text-only": "own"}


@pytest.mark.parametrize("boxes", [True, False])
def test_triples_are_scored_where_boxes_are_asked_for(boxes: bool, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for split in ("train", "test"):
        rows = []
        for at, (person, place) in enumerate(SPLITS[split]):
            text = f"{person} in {place}"
            entity = {"start": 0, "end": len(person), "text": person, "label": "PER", "boxes": []}
            rows.append(json.dumps({"id": f"{split}{at}", "text": text, "entities": [entity]}) + "\n")
        (tmp_path / "data" / f"{split}.jsonl").write_text("".join(rows))
    overrides = (f"answer.grounded={str(boxes).lower()}",)
    plan = plan_of(tmp_path, ["plain", "text-only"], seeds=1, overrides=overrides)
    scored = []
    for run in plan.runs():
        write_run(run, 1)
        scored.append(score_run(run, read_test(plan)))
    made = make_table(plan, scored, num_resamples=20)
    assert made.score_names[0] == ("triples.gmner" if boxes else "micro")
    assert ("triples.gmner" in made.score_names) is boxes
    # Nothing is visible, and nobody wrote a box.
    assert made.rows[1].scores[made.score_names[0]].mean == 1.0
    assert ('all "not visible"' in markdown(made)) is boxes
    assert "Checkpoint: the last one" in markdown(made)


def test_latex_has_all_columns_in_every_row_and_its_sources_below(made: ExperimentTable) -> None:
    text = latex(made)
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 1 + 3 + len(published.published_scores("twitter2017"))
    columns = len(text.partition(r"\begin{tabular}{")[2].partition("}")[0])
    assert {line.replace(r"\&", "").count("&") + 1 for line in rows} == {columns}
    assert "http" not in body
    assert r"ITA: \url{https://arxiv.org/abs/2112.06482}; UMT: \url{" in text
    assert "$-$" in next(row for row in rows if row.startswith("    zero"))


def test_a_real_latex_sets_the_table_and_refuses_a_broken_one(made: ExperimentTable) -> None:
    if shutil.which("pdflatex") is None:
        pytest.skip("there is no pdflatex on this machine")
    check_latex(latex(made))
    with pytest.raises(BrokenTableError, match="Extra alignment tab"):
        check_latex(latex(made).replace("BERT, text only", "BERT & text only"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"a_b & 5 % {x} \ ± #", r"a\_b \& 5 \% \{x\} \textbackslash{} $\pm$ \#"),
        ("GPT-4: -1.5 (-2 – +3)", "GPT-4: $-$1.5 ($-$2 -- +3)"),
        ("a -- b", "a -{}- b"),
        ("e\u0301\u200b\n\nx", "é x"),
        ("", ""),
    ],
)
def test_signs_of_latex_are_escaped(text: str, expected: str) -> None:
    assert escape(text) == expected


def test_a_row_never_gives_the_row_before_an_argument() -> None:
    assert row_of(["[x]", "*", ""]) == r"{[x]} & * &  \\"


def test_signs_that_need_another_latex_are_named(made: ExperimentTable) -> None:
    assert "xelatex" not in latex(made)
    assert "with a font that holds 人 名" in latex(replace(made, title="人名"))


def test_of_many_types_the_csv_alone_has_the_scores(made: ExperimentTable) -> None:
    many = tuple(f"per_type.t{number}" for number in range(9))
    assert replace(made, score_names=("micro", *many, "span_only")).columns == ("micro", "span_only")
    assert made.columns == made.score_names
    assert list(table._many_types(many)) == ["F1 of each of the 9 types: table.csv."]


def test_the_csv_holds_the_numbers_themselves(made: ExperimentTable) -> None:
    rows = list(csv.DictReader(io.StringIO(comma_separated(made))))
    [plain] = [row for row in rows if (row["system"], row["score"]) == ("plain", "micro")]
    assert float(plain["mean"]) == pytest.approx(0.8)
    assert (plain["runs"], plain["stamp"]) == ("2", "measured")
    assert [float(value) for value in plain["values"].split()] == pytest.approx([8 / 12, 14 / 15], abs=1e-6)
    missing = [(row["system"], row["runs"]) for row in rows if row["stamp"] == "not complete"]
    assert missing == [("plain-2", "0"), ("ita-2", "0")]
    [log] = [row for row in rows if row["stamp"] == "log" and row["score"] == "micro"]
    assert (log["system"], log["mean"]) == ("UMT, its log", "0.8509")
