"""The build of a model from a pretrained decoder: samples, legs, and a build that goes on where it was stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from eval.starter_training.build_joined import STAGES, build, legs
from eval.starter_training.optimizer import MasterAdamW
from instruct_mner.models.locations import STARTER_135M_FOLDER
from instruct_mner.models.smollm2 import wheel_weights
from instruct_mner.models.starter_135m import PARTS


def test_legs_cover_each_stage_once() -> None:
    made = legs(STAGES, most=400)
    for stage in STAGES:
        own = [leg for leg in made if leg.stage is stage]
        assert [step for leg in own for step in range(leg.first, leg.first + leg.steps)] == list(range(stage.steps))
        assert [leg.is_last for leg in own] == [False] * (len(own) - 1) + [True]
    assert [leg.number for leg in made] == list(range(len(made)))


def test_an_optimizer_goes_on_from_its_state() -> None:
    def stepped(weight: torch.nn.Parameter, optimizer: MasterAdamW, numbers: range) -> None:
        for number in numbers:
            weight.grad = torch.full_like(weight, 0.1 * (number + 1))
            optimizer.step(1.0)

    whole, stopped = (torch.nn.Parameter(torch.ones(4, dtype=torch.bfloat16)) for _ in range(2))
    optimizer = MasterAdamW([whole], 0.1)
    stepped(whole, optimizer, range(6))
    first = MasterAdamW([stopped], 0.1)
    stepped(stopped, first, range(3))
    state = {name: value.clone() for name, value in first.state().items()}
    again = torch.nn.Parameter(torch.zeros(4, dtype=torch.bfloat16))
    second = MasterAdamW([again], 0.1)
    second.load(state)
    stepped(again, second, range(3, 6))
    assert torch.equal(again, whole)
    assert all(torch.equal(value, optimizer.state()[name]) for name, value in second.state().items())


@pytest.mark.prove
@pytest.mark.timeout(1800)
@pytest.mark.skipif(wheel_weights() is None, reason="SmolLM2's weights are not installed (make setup brings them)")
def test_a_build_that_was_stopped_ends_with_the_same_weights(tmp_path: Path) -> None:
    stages = tuple(replace(stage, steps=2, gates={}) for stage in STAGES)
    size: dict[str, Any] = {"most": 1, "num_posts": 100, "num_scored": 8, "alignment": {"num": 100, "steps": 20}}
    whole = build(tmp_path / "whole", stages=stages, **size)
    build(tmp_path / "stopped", stages=stages[:1], **size)
    ended = build(tmp_path / "stopped", stages=stages, **size)
    expected, found = load_file(whole), load_file(ended)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert whole.stat().st_size < 20e6


@pytest.mark.prove
@pytest.mark.timeout(1800)
@pytest.mark.skipif(wheel_weights() is None, reason="SmolLM2's weights are not installed (make setup brings them)")
def test_the_last_stage_begins_with_trained_parts(tmp_path: Path) -> None:
    stages = tuple(replace(stage, steps=2, gates={}) for stage in STAGES)
    begin = STARTER_135M_FOLDER / PARTS
    ended = load_file(build(tmp_path, stages=stages, num_posts=100, num_scored=8, begin=begin))
    begun = load_file(begin)
    changed = {name for name, tensor in ended.items() if not torch.equal(begun[name], tensor)}
    assert changed
    assert all("lora_" in name or "connector" in name for name in changed)
    assert not (tmp_path / "aligned.safetensors").exists()
    assert {path.name for path in tmp_path.glob("leg-*")} == {f"leg-{len(legs(stages)) - 1:03}"}
