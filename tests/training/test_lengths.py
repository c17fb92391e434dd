"""Lengths against those of the batches that the collator makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from families import FAMILY_NAMES
from PIL import Image

from instruct_mner.testing.posts import make_posts
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.lengths import token_lengths
from instruct_mner.training.setup import Run, prepare

_QUICK = ("idefics3", "qwen3_vl", "gemma3")
_EVERY = [name if name in _QUICK else pytest.param(name, marks=pytest.mark.prove) for name in FAMILY_NAMES]
# Signs around a picture, and tokens that join where the template begins and ends.
_NEAR = 8


def run_of(model: Path, folder: Path, **changes: Any) -> Run:
    posts = make_posts(folder / "posts")
    # Wide and high: as many pixels, but not as many tokens in each family.
    Image.new("RGB", (400, 40), "red").save(folder / "posts" / "0.png")
    config = {"model": str(model), "data": {"train": str(posts)}, "output": str(folder / "run"), **changes}
    return prepare(FinetuneConfig.model_validate(config))


def batched(run: Run) -> list[int]:
    rows = [run.collator.inputs([{"index": index}]) for index in range(len(run.train.examples))]
    return [int(row["attention_mask"].sum()) for row in rows]


@pytest.mark.parametrize("family", _EVERY)
def test_lengths_are_those_of_batches(family: str, tiny_models, tmp_path) -> None:
    run = run_of(tiny_models(family), tmp_path)
    lengths, true = run.lengths, batched(run)
    # All lack the instruction and the template, which the post without a picture shows.
    lacking = true[1] - lengths[1]
    assert [length + lacking for length in lengths] == pytest.approx(true, abs=_NEAR)


def test_text_twice_counts_twice(tiny_models, tmp_path) -> None:
    model = tiny_models("qwen3_vl")
    once = run_of(model, tmp_path / "once", max_images=0).lengths
    twice = run_of(model, tmp_path / "twice", max_images=0, prompt="tag-twice").lengths
    assert all(second > first for first, second in zip(once, twice, strict=True))
    assert max(twice) - min(twice) > max(once) - min(once)


def test_pictures_that_cannot_be_read_have_no_tokens(tiny_models, tmp_path) -> None:
    run = run_of(tiny_models("qwen3_vl"), tmp_path)
    gone = token_lengths(run.train.examples, lambda example: [tmp_path / "gone.png"], run.conversations)
    none = token_lengths(run.train.examples, lambda example: [], run.conversations)
    assert gone == none
