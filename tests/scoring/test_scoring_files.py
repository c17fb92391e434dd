"""Scores of files: gold and predictions apart, in one file with columns, and what cannot be scored."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from instruct_mner.errors import ConfigError, DataError
from instruct_mner.schema.choices import Decode, LabelColumn
from instruct_mner.scoring.counts import Score
from instruct_mner.scoring.files import GoldSource, evaluate_files
from instruct_mner.scoring.report import Report

# Gold: Bob PER, Oslo LOC. Predicted: Bob PER, and Oslo as ORG; a third entity that is none.
COLUMNS = "Bob B-PER B-PER\nin O O\nOslo B-LOC B-ORG\n\nhello O B-PER\n"


def rows(path: Path, *posts: Mapping[str, object]) -> Path:
    path.write_text("".join(json.dumps(post) + "\n" for post in posts))
    return path


def entity(text: str, surface: str, label: str) -> dict[str, object]:
    start = text.index(surface)
    return {"start": start, "end": start + len(surface), "text": surface, "label": label}


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    first: dict[str, object] = {"id": "1", "text": "Bob in Oslo"}
    first["entities"] = [entity("Bob in Oslo", "Bob", "PER"), entity("Bob in Oslo", "Oslo", "LOC")]
    return rows(tmp_path / "gold.jsonl", first, {"id": "2", "text": "hello", "entities": []})


@pytest.fixture
def predicted(tmp_path: Path) -> Path:
    first: dict[str, object] = {"id": "1", "text": "Bob in Oslo"}
    first["entities"] = [entity("Bob in Oslo", "Bob", "PER"), entity("Bob in Oslo", "Oslo", "ORG")]
    second = {"id": "2", "text": "hello", "entities": [entity("hello", "hello", "PER")]}
    return rows(tmp_path / "predicted.jsonl", first, second)


def scored(gold: Path, *predicted: Path, decode: Decode = "tolerant", **settings: Any) -> Report:
    report = evaluate_files(GoldSource(data=str(gold), decode=decode), predicted, num_resamples=20, **settings)
    assert isinstance(report, Report)
    return report


def scores(report: Report) -> tuple[Score, Score]:
    return report.micro.score, report.span_only.score


def test_columns_of_gold_and_prediction_score_as_two_files(
    gold: Path, predicted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = tmp_path / "both.txt"
    columns.write_text(COLUMNS)
    apart = scored(gold, predicted)
    together = scored(columns)
    assert scores(apart) == scores(together) == (Score(1, 3, 2), Score(2, 3, 2))
    assert (together.predicted, apart.predicted) == (str(columns), str(predicted))
    # The choice of the column is reported.
    assert f"{columns}: column 2 is taken for the gold" in capsys.readouterr().err


def test_a_second_system_is_compared(gold: Path, predicted: Path) -> None:
    report = scored(gold, predicted, gold)
    assert report.comparison is not None
    assert report.comparison.report.micro.score == Score(2, 2, 2)
    # F1 of 1 less 2·1 / (3 + 2).
    assert report.comparison.differences["micro"].difference == pytest.approx(1 - 2 / 5)


def test_settings_are_handed_on(gold: Path, predicted: Path) -> None:
    report = scored(gold, predicted, decode="strict", match="surface", seed=5)
    assert (report.match, report.gold.decode, report.seed, report.num_resamples) == ("surface", "strict", 5, 20)
    assert (report.gold.num_posts, report.gold.known, report.origin) == (2, None, None)


def test_gold_without_predictions_is_refused(gold: Path) -> None:
    with pytest.raises(ConfigError, match=r"gold\.jsonl: name the predictions too"):
        scored(gold)


def test_posts_that_are_not_annotated_are_counted_and_the_first_is_named(tmp_path: Path, predicted: Path) -> None:
    bare = rows(
        tmp_path / "bare.jsonl", *({"id": key, "text": "a"} for key in "xy"), {"id": "z", "text": "a", "entities": []}
    )
    with pytest.raises(DataError, match=r"bare\.jsonl: 2 post\(s\) are not annotated, the first is 'x'"):
        scored(bare, predicted)


def test_there_are_not_more_runs_than_systems(gold: Path, predicted: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"2 runs are given for 1 prediction file"):
        scored(gold, predicted, runs=[tmp_path, tmp_path])


def test_predictions_may_come_on_standard_input(
    gold: Path, predicted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))

    lines = predicted.read_bytes().splitlines(keepends=True)
    give(b"".join(lines))
    assert scored(gold, Path("-")).micro == scored(gold, predicted).micro
    give(json.dumps([json.loads(line) for line in lines], indent=1).encode())
    assert scored(gold, Path("-")).micro == scored(gold, predicted).micro
    one = tmp_path / "one.jsonl"
    one.write_text(gold.read_text().splitlines()[0])
    give(lines[0])
    assert scored(one, Path("-")).gold.num_posts == 1
    for files in ((Path("-"), predicted, Path("-")), (gold, Path("-"), Path("-"))):
        with pytest.raises(ConfigError, match=r"standard input \(-\) can be one of the files only"):
            scored(*files)


@pytest.mark.parametrize("column", ["coarse", "fine"])
def test_predictions_in_fmnergs_file_are_read_from_the_column_of_the_gold(
    column: LabelColumn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gold, predicted = tmp_path / "gold.txt", tmp_path / "predicted.txt"
    gold.write_text("IMGID:1\nWebber\tB-person\tB-actor\nin\tO\tO\nOslo\tB-location\tB-city\n")
    predicted.write_text(gold.read_text().replace("B-location\tB-city", "B-location\tB-country"))
    for data in (str(gold), f"fmnerg:{gold}"):
        report = evaluate_files(GoldSource(data=data, label_column=column), [predicted], num_resamples=20)
        assert isinstance(report, Report)
        assert report.micro.score == Score(2 if column == "coarse" else 1, 2, 2)
    assert "last column" not in capsys.readouterr().err
