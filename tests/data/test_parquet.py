"""Posts in Parquet: what is written is read back, from any row on."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from test_jsonl import examples

from instruct_mner.data.dataset import ReadOptions
from instruct_mner.data.parquet import read, rows, stream_values, with_meta
from instruct_mner.errors import DataError
from instruct_mner.schema.records import Example


def write(path: Path, posts: list[Example], rows_of_group: int = 2) -> Path:
    table = pa.Table.from_pylist([json.loads(post.model_dump_json()) for post in posts])
    parquet.write_table(table, path, row_group_size=rows_of_group)
    return path


@settings(max_examples=12)
@given(st.lists(examples(), min_size=1, max_size=5, unique_by=lambda example: example.id))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, posts: list[Example]) -> None:
    path = write(tmp_path_factory.mktemp("parquet") / "posts.parquet", posts)
    reading = read(path, ReadOptions())
    assert (reading.problems, reading.dataset.examples) == ((), tuple(posts))
    assert reading.dataset.format == "parquet"


@pytest.mark.parametrize("rows_of_group", [1, 2, 3, 99])
def test_rows_are_read_from_any_one_on(rows_of_group: int, tmp_path: Path) -> None:
    posts = [Example(id=str(number), text=f"text {number}") for number in range(5)]
    path = write(tmp_path / "a.parquet", posts, rows_of_group)
    for first in range(7):
        made = list(rows(path, first))
        assert [row.example for row in made] == posts[first:]
        assert [(row.number, row.position) for row in made] == [(number + 1, number) for number in range(first, 5)]


def test_more_rows_than_are_held_at_once(tmp_path: Path) -> None:
    posts = [Example(id=str(number), text="a") for number in range(600)]
    path = write(tmp_path / "a.parquet", posts, 600)
    assert [values["id"] for values in stream_values(path, 300)] == [post.id for post in posts[300:]]


def test_null_is_left_out_at_every_depth(tmp_path: Path) -> None:
    table = pa.Table.from_pylist(
        [
            {"id": "1", "text": None, "entities": [{"label": "A", "boxes": None}, {"label": None, "boxes": []}]},
            {"id": "2", "text": "b", "entities": None},
        ]
    )
    parquet.write_table(table, tmp_path / "a.parquet")
    assert list(stream_values(tmp_path / "a.parquet")) == [
        {"id": "1", "entities": [{"label": "A"}, {"boxes": []}]},
        {"id": "2", "text": "b"},
    ]


@pytest.mark.parametrize(
    ("values", "result"),
    [
        ({"id": "1", "meta": '{"a": [1, null]}'}, {"id": "1", "meta": {"a": [1, None]}}),
        ({"id": "1", "meta": {"a": 1}}, {"id": "1", "meta": {"a": 1}}),
        ({"id": "1", "meta": "no JSON"}, {"id": "1", "meta": "no JSON"}),
        ({"id": "1"}, {"id": "1"}),
    ],
)
def test_further_columns_may_be_a_text_of_json(values: dict[str, object], result: dict[str, object]) -> None:
    assert with_meta(values) == result


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no Parquet at all", b"PAR1" + b"\0" * 40 + b"PAR1"])
def test_what_is_no_parquet_is_a_problem_of_the_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    reading = read(path, ReadOptions())
    [problem] = reading.problems
    assert problem.startswith(f"{path}: cannot be read as Parquet: ")
    assert "\n" not in problem
    assert reading.dataset.examples == ()
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        next(rows(path))


def test_a_file_that_is_cut_is_a_problem_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [Example(id="1", text="a" * 99)])
    path.write_bytes(path.read_bytes()[:-9])
    assert len(read(path, ReadOptions()).problems) == 1
    with pytest.raises(DataError, match="nowhere"):
        read(tmp_path / "nowhere.parquet", ReadOptions())
