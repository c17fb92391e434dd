"""Predictions in files of annotation tools that ``import`` cannot read are told by the name of the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from instruct_mner.errors import DataError
from instruct_mner.scoring.imported_predictions import imported_rows
from instruct_mner.scoring.tool_predictions import import_predictions

SPAN = {"type": "labels", "value": {"start": 0, "end": 4, "text": "Anna", "labels": ["PER"]}}


def task(*predictions: Any, annotations: Any = ()) -> dict[str, Any]:
    return {"id": 1, "data": {"text": "Anna left"}, "annotations": [*annotations], "predictions": [*predictions]}


def test_predictions_of_two_models_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps([task({"result": [SPAN]}, {"result": []})]))
    with pytest.raises(DataError, match=r"tasks\.json: item 1: the task has 2 predictions; keep that of one"):
        import_predictions(path, tmp_path / "out.jsonl")


@pytest.mark.parametrize("predictions", [[], [7]])
def test_a_task_without_predictions_is_refused(predictions: list[Any], tmp_path: Path) -> None:
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps([task(*predictions)]))
    with pytest.raises(DataError, match=r"tasks\.json"):
        imported_rows(path)


def test_what_cannot_be_imported_is_told_by_the_file_of_the_user(tmp_path: Path) -> None:
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps([task({"result": [{**SPAN, "type": "brush"}]})]))
    with pytest.raises(DataError, match=r"tasks\.json: item 1: results of the type brush") as refused:
        import_predictions(path, tmp_path / "out.jsonl")
    assert "rows.json" not in str(refused.value)


def test_annotations_come_before_predictions(tmp_path: Path) -> None:
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps([task({"result": [SPAN]}, annotations=[{"result": []}])]))
    assert [row["entities"] for row in imported_rows(path)] == [[]]
