from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from instruct_mner.data.dataset import Dataset
from instruct_mner.data.leaks import guard, normalised
from instruct_mner.data.loading import load_split
from instruct_mner.errors import DataError
from instruct_mner.schema.records import Example


def dataset(name: str, *posts: Example, root: Path | None = None) -> Dataset:
    return Dataset(name, "jsonl", Path(f"{name}.jsonl"), "0" * 64, posts, root)


def post(identifier: str, text: str, *images: str) -> Example:
    return Example(id=identifier, text=text, images=images)


@pytest.mark.parametrize(
    "other",
    [
        "RT @user : Fine day , isn't it ?",
        "rt @ user: fine day, isn ' t it? http://t.co/abc",
        "ＲＴ @user Fine\u00a0day isnt it",
    ],
)
def test_spellings_of_one_post_agree(other: str) -> None:
    assert normalised(other) == normalised("RT @ user : Fine day , isn ' t it ?")


@given(st.lists(st.text(st.characters(categories=("Lu", "Ll", "Nd")))))
def test_spaces_never_count(words: list[str]) -> None:
    assert normalised("".join(words)) == normalised(" ".join(words))


def test_texts_of_which_nothing_is_left_are_not_the_same() -> None:
    found = guard([dataset("a", post("1", "🎉 !"))], [dataset("b", post("2", "http://t.co/x ..."))], "refuse").overlaps
    assert not found[0].leaking


def test_each_post_is_counted_once_and_drop_leaves_it_out(tmp_path: Path) -> None:
    for name, color in (("a.png", "red"), ("b.png", "red"), ("c.png", "blue")):
        Image.new("RGB", (4, 4), color).save(tmp_path / name)
    train = dataset(
        "train",
        post("1", "same id", "a.png"),
        post("8", "An other ID"),
        post("9", "only the picture", "b.png"),
        post("10", "neither", "c.png"),
        root=tmp_path,
    )
    test = dataset("test", post("1", "same id", "a.png"), post("2", "another id !"), root=tmp_path)
    guarded = guard([train], [test], "drop")
    [leak] = guarded.overlaps
    assert (leak.num_by_id, leak.num_same_text, leak.num_by_text, leak.num_by_picture) == (1, 1, 1, 1)
    assert [example.id for example in guarded.datasets[0].examples] == ["10"]
    assert guarded.leaked == ()


def test_text_under_another_id() -> None:
    train, test = dataset("train", post("8", "An  OTHER id")), dataset("test", post("2", "another id !"))
    [leak] = guard([train], [test], "allow").overlaps
    assert (leak.num_by_id, leak.num_by_text) == (0, 1)


def test_refuse_says_how_many_of_each_and_where() -> None:
    train, dev = dataset("t/train", post("1", "a")), dataset("t/dev", post("5", "b"), post("6", "z"))
    tests = [dataset("x/test", post("1", "q")), dataset("y/test", post("2", "B"))]
    with pytest.raises(DataError) as raised:
        guard([train, dev], tests, "refuse")
    message = str(raised.value)
    assert "t/train: 1 of 1 posts stand in x/test: 1 by id (0 with the same text), 0 by text" in message
    assert "t/dev: 1 of 2 posts stand in y/test: 0 by id (0 with the same text), 1 by text under another id" in message
    assert "--leaks drop" in message
    assert "t/train: 0" not in message


def test_allow_keeps_all_and_says_so() -> None:
    train, test = dataset("t/train", post("1", "a")), dataset("x/test", post("1", "a"))
    guarded = guard([train], [test], "allow")
    assert guarded.datasets == (train,)
    assert len(guarded.leaked) == 1
    assert "1 by id" in guarded.leaked[0]


def test_dropping_everything_is_an_error() -> None:
    train, test = dataset("t/train", post("1", "a")), dataset("x/test", post("1", "a"))
    with pytest.raises(DataError, match="no post is left"):
        guard([train], [test], "drop")


def test_missing_pictures_are_not_compared(tmp_path: Path) -> None:
    train = dataset("train", post("1", "a", "gone.png"), root=tmp_path)
    test = Dataset("test", "jsonl", tmp_path, "", (post("2", "b", "gone.png"),), tmp_path, ("gone.png",))
    [leak] = guard([train], [test], "refuse").overlaps
    assert leak.num_pictures == 0


def test_sentences_without_ids_of_their_own_do_not_leak_by_line_number(tmp_path: Path) -> None:
    paths = [tmp_path / "train.txt", tmp_path / "test.txt"]
    for path, token in zip(paths, ("Rome", "Paris"), strict=True):
        path.write_text(f"{token}\tB-LOC\n")
    train, test = (load_split(f"conll:{path}") for path in paths)
    assert not guard([train], [test], "refuse").overlaps[0].leaking


def published(folder: Path, *data: str) -> list[Dataset]:
    return [
        load_split(f"{form}:{folder / path}", missing_image="keep")
        for form, _, path in (d.partition(":") for d in data)
    ]


def test_the_published_leaks(shared_data: Path) -> None:
    gmner = published(shared_data, "gmner:gmner/txt/train.txt", "gmner:gmner/txt/test.txt")
    twitter = published(
        shared_data, "conll:twitter2015/train.txt", "conll:twitter2017/train.txt", "conll:twitter2015/test.txt"
    )
    [into_2015] = guard(gmner[:1], twitter[2:], "allow").overlaps
    assert (into_2015.num_by_id, len(into_2015.leaking)) == (1563, 1568)
    into_gmner = guard(twitter[:2], gmner[1:], "allow").overlaps
    assert sum(leak.num_by_id for leak in into_gmner) == 886
    assert sum(len(leak.leaking) for leak in into_gmner) == 889


def test_duplicates_between_the_splits_of_one_set_are_found_too(shared_data: Path) -> None:
    train, test = published(shared_data, "conll:twitter2015/train.txt", "conll:twitter2015/test.txt")
    [leak] = guard([train], [test], "allow").overlaps
    assert leak.num_by_id == 0
    assert leak.num_by_text > 0
