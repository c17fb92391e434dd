"""The report of a run before it begins, as it is printed."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console
from torch import nn

from instruct_mner.alignment.settings import CrossViewSettings, InformationBottleneckSettings
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.data.dataset import Dataset
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Entity, Example
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.reinforcement_settings import ReinforcementSettings
from instruct_mner.training.setup import Run
from instruct_mner.training.summary import describe, say_what_is_trained, say_what_was_decided
from instruct_mner.training.warmups import warmup_remarks

POSTS = (
    Example(
        id="1",
        text="Annabel left",
        images=("a.png",),
        # Cuts a word, so that no answer can say it.
        entities=(Entity(start=0, end=3, text="Ann", label="PER"), Entity(start=8, end=12, text="left", label="[x]")),
    ),
    Example(id="2", text="Bob", entities=()),
)
TRAIN = Dataset(name="[red]set/train", format="jsonl", path=Path("t"), sha256="0123456789abcdef" * 4, examples=POSTS)


def run_of(*, sees: bool = True, dev: Dataset | None = None, train: Dataset = TRAIN, **config: Any) -> Run:
    values = {
        "model": "m", "data": {"train": "t.jsonl"}, "output": "run", "vision_cache": {"enabled": False}, **config
    }  # fmt: skip
    checked = FinetuneConfig.model_validate(values)
    run = SimpleNamespace(
        config=checked,
        alignment=checked.alignment,
        notes=("auto: layer [3]",),
        loaded=SimpleNamespace(
            name="models/[v2]",
            family=SimpleNamespace(name="qwen3_vl", sees=sees, decoder_path="decoder", vision_paths=("eyes",)),
        ),
        train=train,
        dev=dev,
        chooses_by="gmner_f1",
        pictures=tuple,
        sources=SimpleNamespace(describe=lambda: ["leaks     [none]"], leaked=()),
        manifest=SimpleNamespace(earlier=(), leaked=()),
        spec=AnswerSpec(labels=LabelSet.of(["PER", "[x]"]), grounded=True),
        prompt=SimpleNamespace(name="tag"),
    )
    return cast("Run", run)


def lines_of(say: Any, *arguments: object) -> list[str]:
    file = io.StringIO()
    say(*arguments, Console(file=file, width=300))
    return [line.rstrip() for line in file.getvalue().splitlines()]


def decided(**changes: Any) -> list[str]:
    return lines_of(say_what_was_decided, run_of(**changes))


def test_steps_that_the_config_names_are_said_in_epochs() -> None:
    posts = replace(TRAIN, examples=POSTS[:1] * 24)
    [line] = [
        line
        for line in decided(train=posts, optimizer={"max_steps": 5, "batch_size": 4, "epochs": 2})
        if line.startswith("steps")
    ]
    assert line.startswith("steps     5: 0.8333 epochs, 4 posts x 1, ")


def test_what_was_decided_stands_line_by_line_with_brackets_as_they_are() -> None:
    assert decided() == [
        "base      models/[v2] (qwen3_vl)",
        "train     [red]set/train, 2 posts, sha256 0123456789ab",
        "dev       none: the last checkpoint is kept",
        "leaks     [none]",
        "labels    PER, [x]",
        "mentions  1 in train cut a word or hold no letter or digit: decoding cannot repeat them",
        "prompt    tag, answers as lines, grounded: True",
        "heads     auto: layer [3]",
        "features  computed each time: vision_cache.enabled is false",
        "steps     3: 3 epochs, 8 posts x 1, learning rate 0.0002, seed 0",
    ]


def test_the_dev_set_is_named() -> None:
    lines = decided(dev=replace(TRAIN, name="set/dev"))
    assert "dev       set/dev, 2 posts; the best gmner_f1 is kept" in lines
    assert not [line for line in lines if line.startswith("pictures")]


@pytest.mark.parametrize(
    ("context", "words"),
    [(False, "context: true shows what is said of them"), (True, "what is said of them is shown")],
)
def test_pictures_that_a_text_model_does_not_see_are_counted(context: bool, words: str) -> None:
    expected = f"pictures  1 posts of train have pictures that are not shown (text only); {words}"
    assert expected in decided(sees=False, context=context)
    bare = replace(TRAIN, examples=POSTS[1:])
    assert not [line for line in decided(sees=False, train=bare) if line.startswith("pictures")]


def test_posts_with_more_pictures_than_are_shown_are_counted() -> None:
    [first, *others] = POSTS
    both = replace(TRAIN, examples=[first.model_copy(update={"images": ("a.png", "b.png")}), *others])
    expected = "pictures  1 posts of train have more than are shown: of each the first 1 (max_images)"
    assert expected in decided(train=both)
    assert expected not in decided()
    assert expected not in decided(train=both, max_images=2)


def test_objectives_are_named_with_their_settings() -> None:
    lines = decided(alignment={"cross_view": {"weight": 0.5}})
    [line] = [line for line in lines if line.startswith("alignment")]
    assert line == (
        "alignment cross_view: weight 0.5, warmup_steps 0, text_weight 0.25, temperature 2.0, teacher image"
    )


def warmups(**changes: Any) -> list[str]:
    return [line for line in decided(**changes) if line.startswith("warm-up")]


def test_a_warmup_that_is_not_over_in_the_steps_of_the_run_is_named() -> None:
    assert not warmups(optimizer={"warmup_steps": 2}, alignment={"information_bottleneck": {"warmup_steps": 3}})
    assert warmups(optimizer={"warmup_steps": 200}) == [
        "warm-up   optimizer.warmup_steps 200: in 3 steps the learning rate reaches 0.01 of its peak at most; choose "
        "fewer, or train for longer"
    ]
    assert len(warmups(optimizer={"warmup_steps": 3})) == 1
    alignment = {"cross_view": {"warmup_steps": 4}, "information_bottleneck": {"divergence_warmup_steps": 5}}
    assert warmups(alignment=alignment) == [
        f"warm-up   alignment.{name}: its weight is still growing when the run ends after 3 steps; choose fewer, or "
        "train for longer"
        for name in ("cross_view.warmup_steps 4", "information_bottleneck.divergence_warmup_steps 5")
    ]
    assert warmups(optimizer={"warmup_steps": 2, "scheduler": "constant"}) == [
        "warm-up   optimizer.warmup_steps 2: scheduler constant begins at the peak; constant_with_warmup warms up"
    ]
    reinforced = ReinforcementSettings(warmup_steps=1, scheduler="linear")
    [line] = warmup_remarks("reinforcement", reinforced, 1)
    assert line.startswith("reinforcement.warmup_steps 1: in 1 steps the learning rate reaches 0 of its peak at most")
    assert not list(warmup_remarks("reinforcement", reinforced, 2))


def test_settings_that_are_null_are_left_out() -> None:
    assert "layer" not in describe(InformationBottleneckSettings())
    assert "layer 3" in describe(InformationBottleneckSettings(layer=3))
    assert describe(CrossViewSettings()).startswith("weight 0.25, ")


class Adapted(nn.Linear):
    """A layer with a LoRA, as far as it is counted."""

    lora_A = True  # noqa: N815 (the name that PEFT gives it)


def test_weights_and_adapted_modules_are_counted() -> None:
    frozen = nn.Linear(100, 20, bias=False).requires_grad_(False)
    model = nn.ModuleDict({"decoder": nn.Sequential(Adapted(10, 3, bias=False), frozen)})
    model["eyes"] = nn.Linear(2, 2, bias=False).requires_grad_(False)
    assert lines_of(say_what_is_trained, model, run_of()) == [
        "tuning    lora: 30 of 2,034 weights; adapted modules: decoder 1, eyes 0"
    ]
    assert lines_of(say_what_is_trained, model, run_of(tuning="full")) == ["tuning    full: 30 of 2,034 weights"]
