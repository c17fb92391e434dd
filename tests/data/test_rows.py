"""Rows of a file as a data set, whatever the file's format."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from instruct_mner.data.dataset import Reading, ReadOptions
from instruct_mner.data.rows import Row, collect, file_sha256, parse_row, picture_root
from instruct_mner.errors import ConfigError
from instruct_mner.schema.records import Entity, Example


def row(number: int, text: str = "Ann left", *, key: str | None = None, tokens: tuple[str, ...] | None = None) -> Row:
    example = Example(id=key or f"post {number}", text=text, tokens=tokens)
    return parse_row(lambda: example, Path("a.jsonl"), number, 10 * number)


def collected(path: Path, rows: list[Row]) -> Reading:
    path.write_bytes(b"content")
    return collect("jsonl", path, ReadOptions(), iter(rows))


def test_a_right_row_is_its_post_and_its_place() -> None:
    assert row(3) == Row(number=3, position=30, example=Example(id="post 3", text="Ann left"))


def test_a_wrong_row_is_all_that_is_wrong_in_it() -> None:
    values = {"id": "1", "txt": "a", "entities": [{"start": 0, "end": 1, "text": "a"}]}
    made = parse_row(lambda: Example.model_validate(values), Path("a.jsonl"), 4, 99, ("a.jsonl:4: before",))
    assert (made.number, made.position, made.example) == (4, 99, None)
    assert made.problems == (
        "a.jsonl:4: before",
        "a.jsonl:4: text: is needed",
        "a.jsonl:4: entities.0.label: is needed",
        "a.jsonl:4: txt: unknown field; did you mean 'text'?",
    )


def test_rows_become_a_data_set_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "set" / "dev.jsonl"
    path.parent.mkdir()
    reading = collected(path, [row(2), row(1)])
    dataset = reading.dataset
    assert reading.problems == ()
    assert [post.id for post in dataset.examples] == ["post 2", "post 1"]
    assert (dataset.name, dataset.format, dataset.path) == ("set/dev", "jsonl", path)
    assert dataset.sha256 == file_sha256(path) == hashlib.sha256(b"content").hexdigest()
    assert (dataset.image_root, dataset.segmentation) == (path.parent, "words")


def test_an_id_that_two_rows_have_is_a_problem_and_the_first_row_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    reading = collected(path, [row(1, "first", key="x"), row(2), row(7, "second", key="x")])
    assert [post.text for post in reading.dataset.examples] == ["first", "Ann left"]
    assert reading.problems == (f"{path}:7: id 'x' stands already in line 1; give each post an id of its own",)


def test_wrong_rows_are_left_out_and_an_empty_file_is_one_problem(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    wrong = Row(number=1, position=0, example=None, problems=("a", "b"))
    reading = collected(path, [wrong, row(2)])
    assert ([post.id for post in reading.dataset.examples], reading.problems) == (["post 2"], ("a", "b"))
    assert collected(path, [wrong]).problems == ("a", "b")
    expected = f"{path}:1: the file holds no post; expected one JSON object a line"
    assert collected(path, []).problems == (expected,)
    assert collect("parquet", path, ReadOptions(), iter([])).problems == (
        expected.replace("JSON object a line", "post a row"),
    )


@pytest.mark.parametrize(
    ("posts", "segmentation"),
    [
        ([("雪佛", ("雪", "佛"))], "characters"),
        ([("雪佛", ("雪", "佛")), ("#", ("#",)), ("a b", None)], "characters"),
        ([("雪佛", ("雪", "佛")), ("a b", ("a", "b"))], "words"),
        ([("#", ("#",))], "words"),
        ([("a b", None)], "words"),
    ],
)
def test_tokens_that_are_joined_with_nothing_are_characters(
    posts: list[tuple[str, tuple[str, ...] | None]], segmentation: str, tmp_path: Path
) -> None:
    rows = [row(number, text, tokens=tokens) for number, (text, tokens) in enumerate(posts)]
    assert collected(tmp_path / "a.jsonl", rows).dataset.segmentation == segmentation


def test_ends_are_looked_at_where_surfaces_were_not_given(tmp_path: Path) -> None:
    cut = Example(id="1", text="Ann left", entities=(Entity(start=0, end=2, text="An", label="PER"),))
    for num_filled, count in ((1, 1), (0, 0)):
        made = parse_row(lambda: cut, Path("a"), 1, 0, num_filled=num_filled)
        problems = collected(tmp_path / "a.jsonl", [made]).problems
        assert len(problems) == count
        assert all("1 of 1 mentions without a text cut a word by its last character" in each for each in problems)


def test_pictures_lie_beside_the_file_or_in_the_folder_that_is_given(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    path = tmp_path / "a.jsonl"
    assert picture_root(path, None) == tmp_path
    assert picture_root(path, tmp_path / "pictures") == tmp_path / "pictures"
    with pytest.raises(ConfigError, match="nowhere"):
        picture_root(path, tmp_path / "nowhere")
