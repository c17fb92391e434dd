from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instruct_mner.data.dataset import Dataset
from instruct_mner.data.pictures import picture_source
from instruct_mner.errors import DataError
from instruct_mner.schema.records import Example


def dataset_of(with_picture: list[bool]) -> Dataset:
    posts = tuple(
        Example(id=str(number), text="x", images=(f"{number}.png",) if shown else ())
        for number, shown in enumerate(with_picture)
    )
    return Dataset("set/test", "jsonl", Path("posts.jsonl"), "0" * 64, posts, Path("pictures"))


@given(st.lists(st.booleans(), max_size=20).filter(lambda shown: sum(shown) > 1), st.integers(0, 99))
def test_shuffled_pictures_are_never_the_own_and_each_is_used_once(shown: list[bool], seed: int) -> None:
    dataset = dataset_of(shown)
    source = picture_source(dataset, "shuffled", seed)
    used: list[Path] = []
    for post in dataset.examples:
        paths = source(post)
        assert paths != dataset.picture_paths(post) or not post.images
        assert bool(paths) == bool(post.images)
        used += paths
    assert sorted(used) == sorted(path for post in dataset.examples for path in dataset.picture_paths(post))
    again = picture_source(dataset, "shuffled", seed)
    assert all(again(post) == source(post) for post in dataset.examples)


def test_own_and_none() -> None:
    dataset = dataset_of([True, False])
    assert [picture_source(dataset, "own")(post) for post in dataset.examples] == [(Path("pictures/0.png"),), ()]
    assert [picture_source(dataset, "none")(post) for post in dataset.examples] == [(), ()]


def test_a_post_that_lost_its_pictures_has_none_of_another() -> None:
    dataset = dataset_of([True, True])
    source = picture_source(dataset, "shuffled")
    assert [len(source(post)) for post in dataset.examples] == [1, 1]
    assert [source(post.without_images()) for post in dataset.examples] == [(), ()]


def test_a_post_is_shown_no_more_pictures_of_another_than_it_has_itself() -> None:
    posts = tuple(
        Example(id=str(number), text="x", images=tuple(f"{number}-{image}.png" for image in range(number)))
        for number in (1, 3)
    )
    source = picture_source(Dataset("s", "jsonl", Path("p.jsonl"), "0" * 64, posts, Path("pictures")), "shuffled")
    assert [source(post) for post in posts] == [(Path("pictures/3-0.png"),), (Path("pictures/1-0.png"),)]


def test_one_picture_cannot_be_shuffled() -> None:
    with pytest.raises(DataError, match="two posts with pictures"):
        picture_source(dataset_of([True, False]), "shuffled")
