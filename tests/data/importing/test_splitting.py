"""Development splits: whole groups, a seed, and nothing on both sides."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from instruct_mner.data.importing.run import import_and_split
from instruct_mner.data.importing.splitting import Member, keys_of, split_posts, write_splits
from instruct_mner.data.importing.writing import ImportOptions
from instruct_mner.data.loading import load_split
from instruct_mner.errors import ConfigError
from instruct_mner.schema.records import Example

KEYS = st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=2), min_size=2, max_size=12)


@given(KEYS, st.data(), st.floats(0.1, 0.9), st.integers(0, 5))
def test_no_key_is_on_both_sides(keys: list[list[str]], data: st.DataObject, share: float, seed: int) -> None:
    posts = [Member(own, data.draw(st.booleans())) for own in keys]
    try:
        split = split_posts(posts, share, seed)
    except ConfigError:
        assume(False)
        raise
    sides = [{key for own, is_dev in zip(keys, split.is_dev, strict=True) if is_dev is side for key in own}
             for side in (False, True)]  # fmt: skip
    assert not sides[0] & sides[1]
    assert 0 < sum(split.is_dev) <= max(1, round(share * len(keys)))
    assert split == split_posts(posts, share, seed)
    kept = [post for post, is_dev in zip(posts, split.is_dev, strict=True) if not is_dev]
    assert any(post.has_entities for post in kept) is any(post.has_entities for post in posts)


@pytest.mark.parametrize("seed", range(8))
def test_the_last_post_with_entities_is_not_held_out(seed: int) -> None:
    posts = [Member(["a"], True), Member(["b"], False)]
    assert split_posts(posts, 0.1, seed).is_dev == (False, True)
    grouped = [Member(["a"], True), *[Member(["b"], False)] * 3]
    reason = "none can be held out .the smallest but the one that has all entities has 3.; choose a larger share"
    with pytest.raises(ConfigError, match=reason):
        split_posts(grouped, 0.1, seed)


@pytest.mark.parametrize(
    ("keys", "share", "reason"),
    [
        (
            "aaa",
            0.3,
            "of 3 posts in 1 groups .* none can be held out and another kept; give more posts, or hold none out",
        ),
        ("aaabbb", 0.1, "of 6 posts in 2 groups .* none can be held out .the smallest has 3.; choose a larger share"),
        ("abcdef", 0.99, "of 6 posts in 6 groups .* all would be held out, .*; choose a smaller share"),
    ],
)
def test_a_share_that_leaves_one_side_empty_is_refused_with_the_way_out(keys: str, share: float, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        split_posts([Member([key], False) for key in keys], share, 0)


def test_the_same_picture_under_two_names_is_one(tmp_path: Path) -> None:
    for name, content in (("1.jpg", b"x"), ("2.jpg", b"x"), ("3.jpg", b"y")):
        (tmp_path / name).write_bytes(content)
    one, two, three, none = (
        keys_of(Example(id="1", text=text, images=(name,)), tmp_path)[1]
        for text, name in (("a", "1.jpg"), ("b", "2.jpg"), ("c", "3.jpg"), ("d", "4.jpg"))
    )
    assert one == two != three
    assert none == "name 4.jpg"


def test_an_import_is_split(tmp_path: Path) -> None:
    rows = [{"text": f"post {number // 2}", "label": []} for number in range(40)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ImportOptions(columns=["entities=label"])
    result = import_and_split(str(tmp_path / "a.jsonl"), tmp_path / "out", options, 0.25, 3)
    train, dev = (load_split(str(tmp_path / "out" / f"{name}.jsonl")).examples for name in ("train", "dev"))
    assert (len(train), len(dev), result.num_posts) == (30, 10, 40)
    assert not {post.text for post in train} & {post.text for post in dev}
    assert "seed 3 from 20 groups, in which posts share a text or a picture (the largest has 2)" in result.notes[-1]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["dev.jsonl", "train.jsonl"]
    with pytest.raises(ConfigError, match="exist"):
        import_and_split(str(tmp_path / "a.jsonl"), tmp_path / "out", options, 0.25, 3)


@pytest.mark.parametrize(
    ("target", "share", "reason"), [("o", 1.0, "above 0 and below 1"), ("o.jsonl", 0.1, "name a folder")]
)
def test_what_is_refused(tmp_path: Path, target: str, share: float, reason: str) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n')
    with pytest.raises(ConfigError, match=reason):
        import_and_split(str(tmp_path / "a.jsonl"), tmp_path / target, ImportOptions(), share, 0)
    assert not (tmp_path / target).exists()


def test_nothing_is_left_where_no_split_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": 1, "text": "a"}\n{"id": 2, "text": "A"}\n')
    with pytest.raises(ConfigError, match="none can be held out"):
        write_splits(tmp_path / "a.jsonl", 0.5, 0)
    with pytest.raises(ConfigError, match="none can be held out"):
        import_and_split(str(tmp_path / "a.jsonl"), tmp_path / "out", ImportOptions(), 0.5, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]
