"""Tables: CSV, with lists as JSON in their cells, and Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from instruct_mner.data.exporting.posts import ExportedPosts, Post
from instruct_mner.data.parquet import BOX, write_rows
from instruct_mner.data.prediction_parquet import write_table
from instruct_mner.schema.records import Example, Prediction

_COLUMNS = ("id", "text", "images", "entities", "tokens", "context", "rejected", "meta")


def write_csv(posts: ExportedPosts) -> Iterator[str]:
    """Yield a table with a column for each field that a post has."""
    dumped = [post.model_dump(mode="json", exclude_none=True) for post in posts.posts]
    columns = [name for name in _COLUMNS if name in {"id", "text", "entities"} or any(row.get(name) for row in dumped)]
    yield _line(columns)
    for row in dumped:
        yield _line([_cell(row.get(name)) for name in columns])


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _line(cells: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(cells)
    return line.getvalue()


def _schema() -> pa.Schema:
    entity = pa.struct([("start", pa.int64()), ("end", pa.int64()), ("text", pa.string()), ("label", pa.string()),
                        ("boxes", pa.list_(BOX))])  # fmt: skip
    texts = pa.list_(pa.string())
    context = pa.struct([("caption", pa.string()), ("tags", texts), ("ocr", pa.string())])
    return pa.schema([("id", pa.string()), ("text", pa.string()), ("images", texts), ("entities", pa.list_(entity)),
                      ("tokens", texts), ("context", context), ("meta", pa.string())])  # fmt: skip


def write_parquet(posts: ExportedPosts, path: Path) -> None:
    """Write the fields of posts as columns, further ones as a text of JSON.

    Raises:
        DataError: It cannot be written.
    """
    predictions = [post for post in posts.posts if isinstance(post, Prediction)]
    if predictions:
        write_table(predictions, path)
        return
    write_rows((_row(post) for post in posts.posts), _schema(), path)


def _row(post: Post) -> dict[str, object]:
    assert isinstance(post, Example)
    row = post.model_dump(mode="json")
    return {**row, "meta": None if post.meta is None else json.dumps(post.meta, ensure_ascii=False)}
