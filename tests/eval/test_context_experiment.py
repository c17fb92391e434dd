"""The experiment with captions on real posts under `eval`: whose caption a post gets, and what its table compares."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
import yaml

from instruct_mner.data.loading import load_split
from instruct_mner.schema.records import Example

EVAL = Path(__file__).resolve().parents[2] / "eval" / "experiments"
SETTINGS = yaml.safe_load((EVAL / "twitter-context.yaml").read_text())
NAME = "twitter2017"
COUNTS = {"train": 6, "valid": 2, "test": 5}


@pytest.fixture(scope="module")
def experiment():
    return importlib.import_module("eval.experiments.twitter_context")


@pytest.fixture
def published(tmp_path) -> Path:
    """A set in the published form; every third post has no caption."""
    folder = tmp_path / "published"
    (folder / NAME).mkdir(parents=True)
    (folder / "captions").mkdir()
    captions = []
    for split, count in COUNTS.items():
        lines = []
        for number in range(count):
            name = f"{split}_{number}"
            lines += [f"IMGID:{name}", "Nice\tO", f"Town{split.title()}{number}\tB-LOC", ""]
            if number % 3 < 2:
                captions.append(f"{name}.jpg :the town of {name}")
        (folder / NAME / f"{split}.txt").write_text("\n".join(lines) + "\n")
    (folder / "captions" / SETTINGS["sets"][NAME]["captions"]).write_text("\n".join(captions) + "\n")
    return folder


def _caption(post: Example) -> str:
    assert post.context is not None
    assert post.context.caption is not None
    return post.context.caption


def test_posts_get_their_own_caption_that_of_another_or_none(experiment, published, tmp_path) -> None:
    settings = {**SETTINGS, "posts": {"train": 3, "test": 10}}
    experiment.make_data(settings, NAME, published, tmp_path / "made")
    for split, count in (("train", 3), ("test", 4)):
        own, shuffled, none = (
            load_split(str(tmp_path / "made" / f"{split}-{which}.jsonl")).examples
            for which in ("own", "shuffled", "none")
        )
        assert [post.text for post in own] == [post.text for post in shuffled] == [post.text for post in none]
        assert len(own) == count
        assert all(_caption(post).endswith(post.id) for post in own)
        assert not any(_caption(post).endswith(post.id) for post in shuffled)
        assert {post.context for post in own} == {post.context for post in shuffled}
        assert {post.context for post in none} == {None}
        assert not any(post.images for post in (*own, *shuffled, *none))


def test_every_arm_is_a_config_and_every_comparison_names_arms(experiment, tmp_path) -> None:
    for name in SETTINGS["sets"]:
        for arm, own in SETTINGS["arms"].items():
            config = experiment.config_of(SETTINGS, name, arm, 0, tmp_path)
            assert config.context == (own["captions"] is not None)
            assert (config.alignment.cross_view is not None) == ("change" in own)
    for each in SETTINGS["comparisons"]:
        assert {each["arm"], each["control"]} <= set(SETTINGS["arms"])


def test_the_table_holds_each_arm_and_what_differs(experiment, tmp_path) -> None:
    folder = tmp_path / NAME
    folder.mkdir()

    def write(arm: str, seed: int, right: int, **more) -> None:
        run = {"right": [[1] * right + [0] * (10 - right)], "spans": [[1] * 10], "predicted": [10]}
        (folder / f"{arm}-{seed}.json").write_text(json.dumps({"shown": run, **more}))

    for seed in range(2):
        write("text", seed, 4)
        write("caption", seed, 6, bare={"right": [[1] * 3 + [0] * 7], "spans": [[1] * 10], "predicted": [10]})
    table = experiment.table(SETTINGS, tmp_path)
    assert "| text | 2 | 40.0 ± 0.0 |  | 100.0 ± 0.0 |" in table
    assert "| caption | 2 | 60.0 ± 0.0 | 30.0 ± 0.0 | 100.0 ± 0.0 |" in table
    assert "| caption | text | as trained | 2 | +20.0 |" in table
    assert "shuffled_caption" not in table
