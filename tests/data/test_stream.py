"""Posts that are read as they are needed: the same ones as in memory, from any place, with all that is wrong said."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from instruct_mner.data.broken_pictures import without_broken
from instruct_mner.data.loading import load_split
from instruct_mner.data.missing_pictures import FATES, missing_report
from instruct_mner.data.stream import look_through
from instruct_mner.errors import DataError
from instruct_mner.schema.records import Prediction
from instruct_mner.tagging.output import write_predictions
from instruct_mner.testing.posts import make_posts


def write_parquet(source: Path, rows_of_group: int = 2) -> Path:
    """The posts of a JSONL file as Parquet, in several groups of rows."""
    rows = [json.loads(line) for line in source.read_bytes().split(b"\n")[:-1]]
    path = source.with_suffix(".parquet")
    parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=rows_of_group)
    return path


def stream(path: Path, form: str | None = None, *, every: int = 4, missing="error", show: bool = True):
    form = form or path.suffix[1:]
    return look_through(path, form, images=None, missing_image=missing, show_pictures=show, every=every)


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
@pytest.mark.parametrize("every", [1, 4, 64])
def test_the_same_posts_from_any_place(form, every, tmp_path) -> None:
    path = make_posts(tmp_path)
    held = load_split(str(path))
    found = stream(path if form == "jsonl" else write_parquet(path), every=every)
    assert found.num_posts == 6
    for first in range(8):
        assert list(found.posts(first)) == list(held.examples[first:])
    assert [tuple(found.picture_paths(post)) for post in held.examples] == [
        held.picture_paths(post) for post in held.examples
    ]


def test_parquet_is_a_format_like_any_other(tmp_path) -> None:
    path = make_posts(tmp_path)
    assert load_split(str(write_parquet(path))).examples == load_split(str(path)).examples


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_missing_pictures(form, tmp_path) -> None:
    path = make_posts(tmp_path)
    path = path if form == "jsonl" else write_parquet(path)
    (tmp_path / "2.png").unlink()
    (tmp_path / "5.png").unlink()
    with pytest.raises(DataError, match=r"2 of 5 pictures are missing \(2\.png, 5\.png\)"):
        stream(path)
    for how in ("text", "skip", "keep"):
        found = stream(path, missing=how, every=2)
        dataset = load_split(str(path), missing_image=how)
        held = dataset.examples
        assert found.num_posts == len(held)
        assert [list(found.posts(first)) for first in range(6)] == [list(held[first:]) for first in range(6)]
        told = missing_report(path, 2, 5, ("2.png", "5.png"), tmp_path, how)
        assert told.endswith(f"(2.png, 5.png): not in {tmp_path}; their posts are {FATES[how]}")
        assert found.notes == dataset.notes == (() if how == "keep" else (told,))


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(b"none")])
def test_posts_of_which_none_is_left_are_refused(spoil, tmp_path) -> None:
    path = make_posts(tmp_path)
    path.write_bytes(path.read_bytes().split(b"\n")[0] + b"\n")
    spoil(tmp_path / "0.png")
    message = r"posts\.jsonl: no post is left, 1 pictures are missing or cannot be used; give --images DIR"
    with pytest.raises(DataError, match=message):
        stream(path, missing="skip")
    with pytest.raises(DataError, match=message):
        without_broken(load_split(str(path), missing_image="skip"), "skip")


def test_all_that_is_wrong_at_once(tmp_path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        b'{"id": 1, "text": "a"}\n{"id": "1", "text": "b"}\n\n{"id": 2}\n{"id": 3, "text": "\xff"}\nnothing\n'
    )
    with pytest.raises(DataError) as error:
        stream(path)
    for said in ("a.jsonl:2: id '1' stands already in line 1", ":4: text", ":5: byte 0xff", ":6: not JSON"):
        assert said in str(error.value)
    with pytest.raises(DataError) as held:
        load_split(str(path))
    assert sorted(str(held.value).split("\n")[1:]) == sorted(str(error.value).split("\n")[1:])


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "cannot be read as Parquet"), (b"PAR1 and nothing else", "cannot be read as Parquet")],
)
def test_a_broken_parquet_file(content, message, tmp_path) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    for reader in (stream, lambda path: load_split(str(path))):
        with pytest.raises(DataError, match=message):
            reader(tmp_path / "a.parquet")


def test_rows_that_are_wrong_in_parquet(tmp_path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"id": ["1", None], "text": ["a", "b"], "imagse": [["x"], None]}), path)
    with pytest.raises(DataError) as error:
        stream(path)
    assert "a.parquet:1: imagse: unknown field; did you mean 'images'?" in str(error.value)
    assert "a.parquet:2: id: is needed" in str(error.value)


def test_a_file_that_changes_meanwhile(tmp_path) -> None:
    path = make_posts(tmp_path)
    found = stream(path)
    path.write_text("{}\n" * 6)
    with pytest.raises(DataError, match="has changed while it was read"):
        list(found.posts())


def peak_bytes(folder: Path, num_posts: int, suffix: str) -> int:
    """The most memory that reading and writing so many posts holds, without any model."""
    path = folder / f"{num_posts}.jsonl"
    with path.open("w") as file:
        file.writelines(json.dumps({"id": str(n), "text": f"post {n} of many " * 8}) + "\n" for n in range(num_posts))
    tracemalloc.start()
    posts = stream(path, every=64)

    def predict(first: int):
        for post in posts.posts(first):
            yield Prediction(id=post.id, text=post.text)

    count = sum(
        1 for _ in write_predictions(predict, posts.num_posts, folder / f"out-{num_posts}{suffix}", "s", window=64)
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == num_posts
    return peak


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_memory_does_not_grow_with_the_file(suffix, tmp_path) -> None:
    peak_bytes(tmp_path, 100, suffix)  # what is imported on the way
    few, many = (peak_bytes(tmp_path, num, suffix) for num in (2_000, 6_000))
    # Eight bytes are kept of every post; a post in memory takes a thousand and more.
    assert many - few < 60 * (6_000 - 2_000)


def test_of_a_picture_that_is_all_of_its_bytes_a_message_holds_the_beginning(tmp_path) -> None:
    post = {"id": "1", "text": "Ann", "images": ["data:image/png;base64," + "A" * 9000], "entities": []}
    (tmp_path / "a.jsonl").write_text(json.dumps(post) + "\n")
    with pytest.raises(DataError, match=r"are missing \(data:image/png;base64,A{58}…\): "):
        stream(tmp_path / "a.jsonl")
