r"""Predictions that an annotation tool holds: pre-annotations of Label Studio, suggestions of Argilla.

``import`` reads annotations, of which these are none. Here they stand in their place, with their confidences::

    {"data": {"text": "Anna left"}, "predictions": [{"result": [{"type": "labels", "score": 0.9, "value": {…}}]}]}
    {"fields": {"text": "Anna left"}, "suggestions": {"entities": {"value": […], "score": [0.9], "agent": "m"}}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from instruct_mner.data.exporting.argilla import GOLD_AGENT
from instruct_mner.data.importing.run import import_file
from instruct_mner.data.importing.writing import ImportOptions
from instruct_mner.data.lenient import loads
from instruct_mner.data.problem_groups import ProblemGroups
from instruct_mner.errors import DataError, MnerError
from instruct_mner.files import read_text

SCORES = "score"
"""Field of ``meta`` with the confidence of each entity, in the order of the text."""

Row = Mapping[str, Any]


def import_predictions(path: Path, out: Path) -> None:
    """Write the posts of a file of a tool, with what models predicted as their entities, as JSONL.

    Args:
        path: File that ``import`` reads.
        out: File that is written.

    Raises:
        DataError: It cannot be imported so.
    """
    rows = out.with_name("rows.json")
    problems = ProblemGroups()
    annotated = []
    for number, row in enumerate(_rows(path), start=1):
        try:
            annotated.append(_as_annotated(row))
        except ValueError as error:
            problems.add(f"{path}: item {number}: {error}")
    problems.stop(str(path))
    rows.write_text(json.dumps(annotated), encoding="utf-8")
    try:
        import_file(str(rows), out, ImportOptions())
    except MnerError as error:
        raise DataError(str(error).replace(str(rows), str(path))) from None


def _rows(path: Path) -> Sequence[Any]:
    text = read_text(path)
    try:
        value = loads(text)
    except ValueError:
        return [loads(line) for line in text.split("\n") if line.strip()]
    return value if isinstance(value, list) else [value]


def _as_annotated(row: Any) -> Any:
    if not isinstance(row, Mapping):
        return row
    data, predictions = row.get("data"), row.get("predictions")
    if isinstance(data, Mapping) and isinstance(predictions, list):
        if len(predictions) > 1:
            raise ValueError(f"the task has {len(predictions)} predictions; keep that of one model")
        values = [each for made in predictions if isinstance(made, Mapping) for each in made.get("result") or ()]
        spans = [each for each in values if isinstance(each, Mapping) and "start" in (each.get("value") or {})]
        scores = [each.get("score") for each in sorted(spans, key=lambda each: _start(each["value"]))]
        return {**row, "annotations": predictions, "data": {**data, SCORES: scores}}
    suggestions = row.get("suggestions")
    if isinstance(row.get("fields"), Mapping) and isinstance(suggestions, Mapping):
        named = {name: {**each, "agent": GOLD_AGENT} for name, each in suggestions.items()}
        scores = [score for each in named.values() for score in _scores(each)]
        return {
            **row,
            "suggestions": named,
            "responses": {},
            "metadata": {**(row.get("metadata") or {}), SCORES: scores},
        }
    return row


def _start(span: Row) -> int:
    start = span.get("start")
    return start if isinstance(start, int) else 0


def _scores(suggestion: Row) -> list[Any]:
    """Return the confidences of the spans of a suggestion; none of another question."""
    spans, scores = suggestion.get("value"), suggestion.get("score")
    if not isinstance(spans, list) or not isinstance(scores, list) or not all(isinstance(each, dict) for each in spans):
        return []
    pairs = sorted(zip(spans, scores, strict=False), key=lambda pair: _start(pair[0]))
    return [score for _, score in pairs]
