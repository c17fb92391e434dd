"""Predictions by rising certainty, for what to label next."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from instruct_mner.data.prediction_parquet import read_table
from instruct_mner.schema.certainty import certainty
from instruct_mner.schema.records import Prediction
from instruct_mner.tagging.order import least_certain_first, lines_by_certainty
from instruct_mner.tagging.output import write_predictions

TEXT = "Ann Bo Cy"
SPANS = ((0, 3), (4, 6), (7, 9))


def prediction(name: str, *scores: float, malformed: int = 0) -> Prediction:
    entities = [
        {"start": start, "end": end, "text": TEXT[start:end], "label": "PER", "score": score}
        for (start, end), score in zip(SPANS, scores, strict=False)
    ]
    values = {"id": name, "text": TEXT, "entities": entities, "rejected": {"malformed": malformed}}
    return Prediction.model_validate(values)


MADE = [prediction("sure", 0.9, 0.8), prediction("none"), prediction("unsure", 0.99, 0.2), prediction("broken", 0.9,
        malformed=1), prediction("middle", 0.5), prediction("same", 0.5)]  # fmt: skip
ORDER = ["broken", "unsure", "middle", "same", "sure", "none"]


def test_the_least_certain_entity_decides() -> None:
    assert {each.id: certainty(each.entities, each.rejected) for each in MADE} == {
        "sure": 0.8, "none": 1.0, "unsure": 0.2, "broken": 0.0, "middle": 0.5, "same": 0.5,
    }  # fmt: skip
    assert [each.id for each in least_certain_first(MADE)] == ORDER


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_file_is_written_in_that_order(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"out{suffix}"
    list(write_predictions(lambda first: iter(MADE[first:]), len(MADE), path, "settings", arrange=lines_by_certainty))
    reading: Callable[[Path], Sequence[str]] = (
        (lambda file: [each.id for each in read_table(file)])
        if suffix == ".parquet"
        else (lambda file: [json.loads(line)["id"] for line in file.read_text().splitlines()])
    )
    assert reading(path) == ORDER
