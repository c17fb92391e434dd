"""Audit of text logs: of UMT's layout and of MKGformer's."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from instruct_mner.audit.evaluations import read_evaluations
from instruct_mner.audit.findings import Audit
from instruct_mner.audit.run import audit
from instruct_mner.audit.text_log import audit_text
from instruct_mner.errors import ConfigError, DataError

TYPES = {"PER": 1873, "LOC": 1720, "ORG": 860, "OTHER": 754}
STAMP = "07/01/2020 11:15:16 - INFO - __main__ -   "


def table(f1: float, support: int, types: dict[str, int] | None = None) -> list[str]:
    """A table as seqeval prints it."""
    rows = [f"      {name}     0.9000    0.9000    0.9000      {count}" for name, count in (types or {}).items()]
    return [
        "           precision    recall  f1-score   support", "", *rows, "",
        f"micro avg     0.8000    0.8000    {f1:.4f}      {support}",
        f"macro avg     0.8000    0.8000    0.8100      {support}", "",
    ]  # fmt: skip


def umt(scores: list[tuple[float, float]], final: float | None = None, support: int = 5207) -> list[str]:
    """A log of UMT, with dev and test scores of each epoch."""
    lines = ["run_mtmner_crf.py", "twitter2015"]
    for epoch, (dev, test) in enumerate(scores):
        bar = f"Epoch:  {10 * epoch}%|████ | {epoch}/{len(scores)} [31:30<04:57, 99.25s/it]"
        lines += [
            f"{bar}{STAMP}********** Epoch: {epoch} **********",
            f"   {STAMP}***** Dev Eval results *****██████| 46/46 [00:05<00:00,  7.79it/s]", *table(dev, 1594),
            f"F-score:  {dev:.4f}",
            f"{STAMP}***** Running Test evaluation *****",
            f"   {STAMP}***** Test Eval results *****██████| 46/46", *table(test, support, TYPES),
        ]  # fmt: skip
    best = max(range(len(scores)), key=lambda at: scores[at][1])
    most = scores[best][1]
    lines += [f"The best epoch on the test set:  {best}", f"The best Micro-F1 score on the test set:  {most}"]
    if final is not None:
        lines += [
            f"{STAMP}***** Running Test Evaluation with the Best Model on the Dev Set*****",
            "Overall:  0.8484179543782193 0.8534418948926721 0.8509225092250922",
            f"{STAMP}***** Test Eval results *****", *table(final, support, TYPES),
        ]  # fmt: skip
    return lines


def texts(result: Audit, topic: str, verdict: str) -> list[str]:
    return [each.text for each in result.findings if (each.topic, each.verdict) == (topic, verdict)]


def test_the_best_test_score_is_told_from_that_of_the_epoch_of_dev() -> None:
    result = audit_text("log", umt([(0.70, 0.71), (0.74, 0.72), (0.73, 0.735)], final=0.722), None)
    assert texts(result, "choice", "fine") == ["the epoch that dev chose (the log says so) has 72.20 on test"]
    [warning] = texts(result, "choice", "warning")
    assert "73.50, +1.30 above that of dev" in warning
    assert texts(result, "labels", "fine") == ["Twitter-2015 (original labels), test: 5207 gold entities"]
    [decoding] = texts(result, "decoding", "fine")
    assert decoding.startswith("tolerant")


def test_a_best_test_score_that_dev_chose_too_is_no_warning() -> None:
    result = audit_text("log", umt([(0.70, 0.71), (0.74, 0.735)], final=0.735), None)
    assert texts(result, "choice", "warning") == []
    assert "the best score on test, 73.50, is that of the epoch of dev" in texts(result, "choice", "fine")


def test_epochs_are_not_the_percentages_of_progress_bars() -> None:
    evaluations = read_evaluations(umt([(0.7, 0.71), (0.74, 0.72)]))
    assert [(each.split, each.epoch, each.f1) for each in evaluations] == [
        ("dev", 0, 70.0), ("test", 0, 71.0), ("dev", 1, 74.0), ("test", 1, 72.0),
    ]  # fmt: skip


def test_without_a_last_test_the_epoch_of_the_best_dev_score_is_taken() -> None:
    result = audit_text("log", umt([(0.70, 0.71), (0.74, 0.72), (0.73, 0.735)]), None)
    assert texts(result, "choice", "fine") == ["the epoch that dev chose (epoch 1) has 72.00 on test"]


@pytest.mark.parametrize(
    ("reported", "verdict", "words"),
    [
        ("72.00", "fine", "72.00 is the test score 72.00 (epoch 1), which dev chose"),
        ("73.5", "warning", "73.5 is the test score 73.50 (epoch 2), the best of all epochs: it was chosen on test"),
        ("71.0", "warning", "71.0 is the test score 71.00 (epoch 0), which neither dev nor test chose"),
        ("80", "warning", "80 is no test score of this log"),
        ("0.72", "warning", "0.72 is no test score of this log; it is taken as per cent: for a share of 0.72 give 72"),
    ],
)
def test_a_reported_score_is_looked_for(reported: str, verdict: str, words: str) -> None:
    result = audit_text("log", umt([(0.70, 0.71), (0.74, 0.72), (0.73, 0.735)]), Decimal(reported))
    assert texts(result, "score", verdict) == [words]


@pytest.mark.parametrize(
    ("reported", "verdict", "words"),
    [
        ("85.32", "fine", "85.32 is the test score 85.32 (epoch 1), which dev chose"),
        ("85.33", "warning", "85.33 is the test score 85.33 (epoch 2), the best of all epochs: it was chosen on test"),
        (
            "85.331",
            "warning",
            "85.331 is the test score 85.33 (epoch 2), the best of all epochs: it was chosen on test",
        ),
        ("85.30", "warning", "85.30 is no test score of this log"),
        (
            "85.3",
            "fine",
            "85.3 is the test score 85.32 (epoch 1), which dev chose; 1 other test score(s) of this log round to it, "
            "too",
        ),
    ],
)
def test_scores_that_are_near_are_not_the_same(reported: str, verdict: str, words: str) -> None:
    result = audit_text("log", umt([(0.70, 0.71), (0.74, 0.8532), (0.73, 0.8533)]), Decimal(reported))
    assert texts(result, "score", verdict) == [words]
    [warning] = texts(result, "choice", "warning")
    assert "the best score on test, 85.33, +0.01 above that of dev" in warning


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "100.01", "85,33", "85.33 %", "1e1", ""])
def test_a_reported_score_is_a_number_in_per_cent(text: str, tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("\n".join(umt([(0.7, 0.71)])))
    with pytest.raises(ConfigError, match=r"--reported .*: no F1 in per cent; give a number from 0 to 100"):
        audit(log, reported=text)


@pytest.mark.parametrize(
    ("support", "verdict", "words"),
    [(5072, "warning", "strict IOB2"), (1351, "unknown", "both decodings"), (999, "unknown", "999 gold entities are")],
)
def test_decoding_by_the_number_of_gold_entities(support: int, verdict: str, words: str) -> None:
    result = audit_text("log", umt([(0.7, 0.71)], support=support), None)
    [text] = texts(result, "decoding", verdict)
    assert words in text


def test_other_numbers_of_types_are_other_labels() -> None:
    lines = [line.replace("1873", "1870").replace("754", "757") for line in umt([(0.7, 0.71)])]
    [text] = texts(audit_text("log", lines, None), "labels", "warning")
    assert text.endswith("but other numbers of OTHER, PER")


def test_mkgformer_names_the_epoch_after_the_table() -> None:
    lines: list[str] = []
    for epoch, (dev, test) in enumerate([(0.86, 0.85), (0.88, 0.865), (0.87, 0.874)], start=1):
        lines += ["***** Running evaluate *****", "***** Dev Eval results *****", *table(dev, 1324),
                  f"Epoch {epoch}/3, best dev f1: 0.0, best epoch: None, current dev f1 score: {dev}."]  # fmt: skip
        lines += ["***** Test Eval results *****", *table(test, 1351),
                  f"Epoch {epoch}/3, best test f1: 0.0, best epoch: None, current test f1 score: {test}"]  # fmt: skip
    lines += ["Get best dev performance at epoch 2, best dev f1 score is 0.88"]
    lines += ["Get best test performance at epoch 3, best test f1 score is 0.874"]
    result = audit_text("log", lines, Decimal("87.4"))
    assert texts(result, "choice", "fine") == ["the epoch that dev chose (epoch 2) has 86.50 on test"]
    assert "87.40, +0.90 above" in texts(result, "choice", "warning")[0]
    assert "chosen on test" in texts(result, "score", "warning")[0]


def test_a_log_that_scores_test_alone_chooses_on_it() -> None:
    lines = [line for score in (0.7, 0.72) for line in ["*** Test Eval results ***", *table(score, 1351)]]
    [text] = texts(audit_text("log", lines, None), "choice", "warning")
    assert text == "test was scored 2 times; the best, 72.00 (epoch not named), is chosen on test"


@pytest.mark.parametrize(
    "line",
    ["The best Micro-F1 score on the test set: {}", "best test performance at epoch 2, best test f1 score is {}."],
)
@pytest.mark.parametrize("value", ["85.33", "0.8533", ".8533"])
def test_a_best_score_is_read_whole_as_a_share_or_in_per_cent(line: str, value: str) -> None:
    [warning] = texts(audit_text("log", [line.format(value)], None), "choice", "warning")
    assert "best score on test, 85.33:" in warning
    assert texts(audit_text("log", [line.format(value)], Decimal("85.33")), "score", "warning") == [
        "85.33 is the test score 85.33 (epoch not named), the best of all epochs: it was chosen on test"
    ]


def test_a_file_with_bars_and_bytes_of_any_kind(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_bytes(b"\xff 10%|#\r" + "\n".join(umt([(0.7, 0.71), (0.6, 0.72)])).encode())
    assert audit(path).layout.startswith("log of a training loop")
    assert any(line.startswith("choice") and "WARNING" in line for line in audit(path).lines())
    path.write_text("nothing of the kind\n")
    with pytest.raises(DataError, match="no table of dev or test scores was recognised"):
        audit(path)
    with pytest.raises(DataError, match="there is no such file"):
        audit(tmp_path / "nowhere.log")
