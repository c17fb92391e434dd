"""Sources of posts: a file, standard input, one post of flags."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from instruct_mner.errors import DataError
from instruct_mner.tagging.input import PostSource
from instruct_mner.testing.posts import make_posts


def test_one_post(tmp_path: Path) -> None:
    make_posts(tmp_path)
    posts = PostSource(text="Ann in Paris", image=str(tmp_path / "0.png")).load()
    [post] = posts.posts()
    assert post.text == "Ann in Paris"
    assert [path.name for path in posts.picture_paths(post)] == ["0.png"]
    with pytest.raises(DataError, match=r"--image .*nowhere.png: there is no such picture"):
        PostSource(text="Ann", image=str(tmp_path / "nowhere.png")).load()


@pytest.mark.parametrize("address", ["http://localhost/x.png", "s3://b/x.png", "data:image/png;base64,eA=="])
def test_an_address_is_named_as_it_was_given(address: str) -> None:
    with pytest.raises(DataError) as refused:
        PostSource(text="Ann", image=address).load()
    assert str(refused.value).startswith(f"--image {address}: an address is not fetched; save the picture")


@pytest.mark.parametrize("image_source", ["own", "shuffled"])
def test_standard_input(image_source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = make_posts(tmp_path).read_bytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    posts = PostSource(data="-", images=tmp_path, image_source=image_source).load()
    assert posts.num_posts == content.count(b"\n")
    assert [post.id for post in posts.posts(2)] == [f"post-{number}" for number in range(2, posts.num_posts)]


def test_a_mistake_on_standard_input_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"{}\n")))
    with pytest.raises(DataError, match="standard input"):
        PostSource(data="-").load()


@pytest.mark.parametrize(("image_source", "own_words"), [("own", False), ("none", True), ("generated", True)])
def test_pictures_that_are_not_shown_are_not_missed(image_source, own_words, tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_text('{"id": "1", "text": "Ann", "images": ["nowhere.png"]}\n')
    source = PostSource(data=str(path), image_source=image_source)
    assert source.shows_own_words_only is own_words
    if own_words:
        [post] = source.load().posts()
        assert not source.load().picture_paths(post)
    else:
        with pytest.raises(DataError, match=r"nowhere\.png"):
            source.load()
