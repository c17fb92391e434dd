"""The parts of the report of a run that is not made, from tokens written by hand."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from rich.console import Console

from instruct_mner.errors import MnerError
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.dry_run import _adapted, _budget, _median, _rendered, dry_run
from instruct_mner.training.setup import Run

IMAGE = 9
WORDS = {1: "Post:", 2: " Ann", 3: "PER: Ann", 4: "<end>"}


class Tokenizer:
    """A tokenizer of four words."""

    def decode(self, ids: list[int]) -> str:
        return "".join(WORDS[each] for each in ids)


def collate(rows: list[dict[str, int]]) -> dict[str, torch.Tensor]:
    """A post with as many image tokens as its index says."""
    images = [IMAGE] * rows[0]["index"]
    ids = [1, *images, 2, 3, 4]
    labels = [-100] * (len(images) + 2) + [3, 4]
    return {
        "input_ids": torch.tensor([ids]),
        "labels": torch.tensor([labels]),
        "attention_mask": torch.ones(1, len(ids), dtype=torch.long),
    }


def run_of(num_posts: int, *, image_token_id: int = IMAGE, first: int | None = None, **config: Any) -> Run:
    text_config = SimpleNamespace(max_position_embeddings=2048)
    run = SimpleNamespace(
        collator=SimpleNamespace(inputs=lambda rows: collate(rows if first is None else [{"index": first}])),
        loaded=SimpleNamespace(
            tokenizer=Tokenizer(),
            image_token_id=image_token_id,
            model=SimpleNamespace(config=SimpleNamespace(get_text_config=lambda: text_config)),
        ),
        train=SimpleNamespace(examples=range(num_posts)),
        config=SimpleNamespace(**config),
    )
    run.loaded.family = None
    return cast("Run", run)


def test_the_first_post_is_shown_with_its_answer_underlined_and_its_picture_counted() -> None:
    text = _rendered(run_of(1, first=3))
    assert text.plain == "Post:<3 image tokens> AnnPER: Ann<end>\n\n7 tokens, 2 of them carry the loss"
    styled = {text.plain[span.start : span.end]: str(span.style) for span in text.spans}
    assert styled["PER: Ann<end>"] == "underline"
    assert styled["<3 image tokens>"] == "dim"
    assert " Ann" not in styled


def test_a_post_without_picture_shows_none() -> None:
    assert "image" not in _rendered(run_of(1, first=0, image_token_id=-1)).plain


def test_the_budget_is_of_all_posts_where_they_are_few() -> None:
    # Posts 0 to 4 have 0 to 4 image tokens, and four others.
    assert _budget(run_of(5)).splitlines() == [
        "of 5 posts: median / most",
        "all      6 / 8   (the model takes 2048)",
        "image    2 / 4",
        "answer   2 / 2",
    ]


def test_of_many_posts_some_at_even_distances_are_counted() -> None:
    first, *_ = _budget(run_of(640)).splitlines()
    assert first == "of 64 posts: median / most"
    [images] = [line for line in _budget(run_of(640)).splitlines() if line.startswith("image")]
    assert images == "image    320 / 630"


@pytest.mark.parametrize(("values", "median"), [([3], 3), ([5, 1, 3], 3), ([4, 1, 3, 2], 3)])
def test_of_an_even_number_the_upper_middle_is_the_median(values: list[int], median: int) -> None:
    assert _median(values) == median


@pytest.mark.parametrize(
    ("output", "message"),
    [("n" * 300, "nnn"), ("file", "output: .*file is a file; choose another"), ("/proc/x", "/proc")],
)
def test_a_place_in_which_no_run_can_be_is_told_before_anything_is_read(
    output: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    config = FinetuneConfig.model_validate(
        {"model": "nothing/there", "data": {"train": "nothing.jsonl"}, "output": str(tmp_path / output)}
    )
    with pytest.raises(MnerError, match=message):
        dry_run(config, Console())


def test_full_tuning_adapts_nothing() -> None:
    assert _adapted(run_of(1, adapts=False), torch.nn.Identity()) == "none: all weights are tuned"
