from __future__ import annotations

import pytest
from test_output import POSTS, Killed, predicting

from instruct_mner.data.prediction_parquet import read_table, write_table
from instruct_mner.errors import DataError
from instruct_mner.schema.records import Box, PredictedEntity, Prediction, Rejected
from instruct_mner.scoring.predictions import read_predictions
from instruct_mner.tagging.output import write_predictions

FOUND = [
    Prediction(id="1", text="Ann\u2028", images=("a.png",), entities=(
        PredictedEntity(start=0, end=3, text="Ann", label="PER", score=0.1 + 0.2, boxes=(Box(box=(0, 1, 2, 3)),)),
    )),
    Prediction(id="2", text="", rejected=Rejected(malformed=2)),
    Prediction(id="3", text="Bob Eve", entities=(
        PredictedEntity(start=0, end=3, text="Bob", label="PER", boxes=()),
        PredictedEntity(start=4, end=7, text="Eve", label="PER"),
    )),
]  # fmt: skip


def test_they_come_back_as_they_were(tmp_path) -> None:
    write_table(FOUND, tmp_path / "new" / "a.parquet")
    assert list(read_table(tmp_path / "new" / "a.parquet")) == FOUND
    assert list(read_predictions(tmp_path / "new" / "a.parquet")) == FOUND
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.parquet"]


def test_a_failure_leaves_no_trace(tmp_path) -> None:
    def broken():
        yield FOUND[0]
        raise KeyError

    with pytest.raises(KeyError):
        write_table(broken(), tmp_path / "a.parquet")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_table(FOUND, tmp_path / "file" / "a.parquet")


def test_a_killed_run_goes_on(tmp_path) -> None:
    with pytest.raises(Killed):
        list(write_predictions(predicting([], 5), len(POSTS), tmp_path / "a.parquet", "s", window=3))
    assert not (tmp_path / "a.parquet").exists()
    asked: list[str] = []
    list(write_predictions(predicting(asked), len(POSTS), tmp_path / "a.parquet", "s", window=3))
    assert asked == ["3", "4", "5", "6"]
    assert [found.id for found in read_table(tmp_path / "a.parquet")] == [post.id for post in POSTS]
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]
