"""Pictures that are there and cannot be opened: told with their posts, and treated as missing ones, in every reader."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from instruct_mner.data.broken_pictures import check_pictures, with_checked_pictures, without_broken
from instruct_mner.data.jsonl import write_jsonl
from instruct_mner.data.loading import load_split
from instruct_mner.data.stream import StreamedPosts, look_through
from instruct_mner.data.validation import survey
from instruct_mner.errors import DataError
from instruct_mner.images import check_image, open_image
from instruct_mner.schema.choices import MissingImage
from instruct_mner.schema.records import Example


def encoded(form: str, size: tuple[int, int] = (160, 120)) -> bytes:
    file = io.BytesIO()
    Image.effect_noise(size, 64).convert("RGB").save(file, form)
    return file.getvalue()


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    """A post with a picture, with one that is broken, with one that lacks its end, and without any."""
    jpeg = encoded("JPEG")
    (tmp_path / "whole.png").write_bytes(encoded("PNG"))
    (tmp_path / "half.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    (tmp_path / "late.jpg").write_bytes(jpeg[:-300])
    pictures = {"a": "whole.png", "b": "half.jpg", "c": "late.jpg"}
    examples = [Example(id=name, text="x", images=(picture,)) for name, picture in pictures.items()]
    write_jsonl(tmp_path / "posts.jsonl", [*examples, Example(id="d", text="x")])
    return tmp_path / "posts.jsonl"


def streamed(path: Path, how: MissingImage, *, show: bool = True) -> StreamedPosts:
    return look_through(path, "jsonl", images=None, missing_image=how, show_pictures=show, every=2)


def test_a_jpeg_that_lacks_its_end_is_shown_and_one_that_lacks_its_half_is_broken(posts: Path) -> None:
    assert open_image(posts.parent / "late.jpg").size == (160, 120)
    assert check_image(posts.parent / "late.jpg").lacks_end
    assert not check_image(posts.parent / "whole.png").lacks_end
    with pytest.raises(DataError, match=r"half\.jpg: the picture is broken"):
        check_image(posts.parent / "half.jpg")
    with pytest.raises(DataError, match=r"half\.jpg: the picture is broken"):
        open_image(posts.parent / "half.jpg")


def test_they_are_an_error_that_names_the_post(posts: Path) -> None:
    message = (
        r"1 picture\(s\) cannot be used; mend them, or .*--missing-image text[\s\S]*post 'b': .*half.jpg: the pict"
    )
    with pytest.raises(DataError, match=message):
        streamed(posts, "error")
    with pytest.raises(DataError, match=message):
        without_broken(load_split(str(posts)), "error")


@pytest.mark.parametrize(("how", "kept"), [("text", "abcd"), ("skip", "acd")])
def test_they_are_treated_as_missing_ones(posts: Path, how: MissingImage, kept: str) -> None:
    read, held = streamed(posts, how), without_broken(load_split(str(posts)), how)
    for examples in (list(read.posts()), list(held.examples)):
        assert "".join(example.id for example in examples) == kept
        assert [example.id for example in examples if example.images] == ["a", "c"]
    assert read.num_posts == len(kept)
    for notes in (read.notes, held.notes):
        broken, lacking = notes[-2:]
        fate = {"text": "read as text", "skip": "left out"}[how]
        assert f"1 picture(s) cannot be used, their posts are {fate}:\n  post 'b': " in broken
        assert lacking.endswith("lack their last bytes and are shown as far as they go: late.jpg (post 'c')")
    assert held.missing_images == ("half.jpg",)


def test_no_picture_is_opened_that_is_not_shown(posts: Path) -> None:
    assert streamed(posts, "keep", show=False).pictures_sha256 is None
    assert without_broken(load_split(str(posts)), "keep").pictures_sha256 is None
    assert with_checked_pictures(load_split(str(posts))).missing_images == ("half.jpg",)


def test_the_contents_of_pictures_have_a_hash(posts: Path) -> None:
    before = check_pictures(load_split(str(posts))).sha256
    assert check_pictures(load_split(str(posts))).sha256 == before
    (posts.parent / "whole.png").write_bytes(encoded("PNG"))
    assert check_pictures(load_split(str(posts))).sha256 != before


def test_validate_says_what_it_does_with_them(posts: Path) -> None:
    _, problems = survey([str(posts)])
    assert len(problems) == 1
    assert "post 'b': " in problems[0]
    [counts], problems = survey([str(posts)], missing_image="text")
    assert problems == []
    broken, lacking = counts.notes[-2:]
    assert "1 picture(s) cannot be used, their posts are read as text" in broken
    assert "late.jpg (post 'c')" in lacking
