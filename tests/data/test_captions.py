from __future__ import annotations

from pathlib import Path

import pytest

from instruct_mner.data.captions import CaptionCounts, add_captions, read_captions
from instruct_mner.data.dataset import Dataset
from instruct_mner.data.loading import load_split
from instruct_mner.errors import DataError
from instruct_mner.schema.records import Context, Example

POSTS = (
    Example(id="1", text="a", images=("pictures/1.jpg", "2.jpg"), context=Context(caption="old", ocr="STOP")),
    Example(id="2", text="b", images=("3.jpg",)),
    Example(id="3", text="c"),
    Example(id="4", text="d", images=("1.jpg",), context=Context(caption="a dog")),
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.json", '{"1.jpg": "a dog", "2.jpg": "a : cat", "3.jpg": ""}'),
        ("c.txt", "1.jpg :a dog\n2.jpg :a : cat\n3.jpg :\n\n"),
    ],
)
def test_captions_go_into_the_context_by_picture_name(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    captions = read_captions(path)
    assert captions == {"1.jpg": "a dog", "2.jpg": "a : cat"}
    dataset, counts = add_captions(Dataset("a/b", "jsonl", path, "", POSTS), captions)
    assert [example.context for example in dataset.examples] == [
        Context(caption="a dog a : cat", ocr="STOP"),
        None,
        None,
        Context(caption="a dog"),
    ]
    assert counts == CaptionCounts(num_captioned=2, num_replaced=1, num_without=1, num_without_pictures=1)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("c.json", "[1]", "expected one object of picture names and their captions"),
        ("c.json", '{"1.jpg": 3}', "expected one object"),
        ("c.json", "{", "is not JSON"),
        ("c.txt", "1.jpg a dog\n", r"c\.txt:1: expected NAME :CAPTION, found '1\.jpg a dog'"),
        ("c.txt", "1.jpg :a\n1.jpg :b\n", r"c\.txt:2: 1\.jpg has another caption in a line above"),
    ],
)
def test_files_that_hold_no_captions(tmp_path: Path, name: str, content: str, reason: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=reason):
        read_captions(tmp_path / name)


@pytest.mark.parametrize(
    ("file", "data", "captioned"),
    [
        pytest.param("twitter2015_images.json", "twitter2015", [4000, 1000, 3257], marks=pytest.mark.prove),
        pytest.param("BLIP2_15.txt", "twitter2015", [3999, 999, 3257], marks=pytest.mark.prove),
        ("twitter2017_images.json", "twitter2017", [3123, 665, 673]),
        ("BLIP2_17.txt", "twitter2017", [3373, 723, 723]),
    ],
)
def test_shared_captions_fit_the_shared_sets(shared_data: Path, file: str, data: str, captioned: list[int]) -> None:
    captions = read_captions(shared_data / "captions" / file)
    for name, expected in zip(("train", "valid", "test"), captioned, strict=True):
        dataset = load_split(f"conll:{shared_data / data / name}.txt", missing_image="keep")
        assert add_captions(dataset, captions)[1].num_captioned == expected
