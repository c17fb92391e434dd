"""Predictions as Parquet, for who works with tables; the same fields as the lines of JSONL."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from instruct_mner.data.inclusive_ends import InclusiveEnds
from instruct_mner.data.parquet import BOX, stream_values, with_meta, write_rows
from instruct_mner.data.prediction_rows import prediction_of
from instruct_mner.errors import DataError, listing
from instruct_mner.schema.records import Prediction
from instruct_mner.schema.validation_messages import reasons


def _schema() -> Any:
    entity = pa.struct(
        [
            ("start", pa.int64()),
            ("end", pa.int64()),
            ("text", pa.string()),
            ("label", pa.string()),
            ("boxes", pa.list_(BOX)),
            ("score", pa.float64()),
        ]
    )
    rejected = pa.struct([(name, pa.int64()) for name in ("malformed", "hallucinated", "unplaceable")])
    return pa.schema(
        [
            ("id", pa.string()),
            ("text", pa.string()),
            ("images", pa.list_(pa.string())),
            ("entities", pa.list_(entity)),
            ("rejected", rejected),
            ("windows", pa.int64()),
            ("meta", pa.string()),
        ]
    )


def _row(prediction: Prediction) -> dict[str, Any]:
    """Return a prediction as a row; further columns, of which each post may have others, are one text of JSON."""
    row = prediction.model_dump(mode="json")
    return {**row, "meta": None if prediction.meta is None else json.dumps(prediction.meta, ensure_ascii=False)}


def write_table(predictions: Iterable[Prediction], path: Path) -> None:
    """Write predictions as Parquet; the file appears whole or not at all, and few predictions are held at once.

    Raises:
        DataError: It cannot be written.
    """
    write_rows(map(_row, predictions), _schema(), path)


def stream_rows(path: Path) -> Iterator[Mapping[str, object]]:
    """Read the rows of a Parquet file of predictions as the objects of JSONL; few are held at once.

    Raises:
        DataError: The file cannot be read.
    """
    return map(with_meta, stream_values(path))


def read_table(path: Path) -> Iterator[Prediction]:
    """Read predictions that were written as Parquet.

    Raises:
        DataError: The file cannot be read, a row is no prediction, or ends are those of the last characters.
    """
    ends = InclusiveEnds()
    for number, row in enumerate(stream_rows(path), start=1):
        try:
            yield prediction_of(row, ends=ends)
        except ValidationError as error:
            wrong = listing(f"{path}:{number}: {reason}" for reason in reasons(error, Prediction))
            raise DataError(f"{path} holds rows that are not predictions:\n{wrong}") from None
    if inclusive := ends.problems_of_predictions(path):
        raise DataError(listing(inclusive))
