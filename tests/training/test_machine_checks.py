"""Settings that a machine cannot fulfil."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from instruct_mner.errors import ConfigError
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.machine_checks import check_machine


def config(**more: Any) -> FinetuneConfig:
    return FinetuneConfig.model_validate({"model": "m", "data": {"train": "t"}, "output": "o", **more})


@pytest.fixture(autouse=True)
def _bare_machine(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name: None)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"attn_implementation": "flash_attention_2"}, "attn_implementation: flash_attention_2 needs a GPU"),
        ({"attn_implementation": "flash_attention_3", "dtype": "float32"}, "computes in bfloat16"),
        ({"optimizer": {"name": "adamw_8bit"}}, "optimizer.name: adamw_8bit needs a GPU and bitsandbytes"),
        ({"optimizer": {"liger": True}}, "optimizer.liger needs a GPU and liger-kernel"),
        ({"optimizer": {"torch_compile": True}}, "needs a compiler"),
        ({"device_map": "auto"}, "at least two GPUs, here are 0"),
    ],
)
def test_each_is_refused_with_what_it_needs(settings, reason) -> None:
    with pytest.raises(ConfigError, match=reason):
        check_machine(config(**settings))


def test_all_are_named_at_once() -> None:
    with pytest.raises(ConfigError, match=r"3 setting\(s\)"):
        check_machine(config(device_map="auto", optimizer={"liger": True, "name": "adamw_8bit"}))


def test_what_works_everywhere_passes() -> None:
    check_machine(config())
    check_machine(config(attn_implementation="eager", optimizer={"name": "adafactor", "loader_workers": 2}))


def test_a_device_map_is_for_one_process(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    check_machine(config(device_map="auto"))
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="one process"):
        check_machine(config(device_map="auto"))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"optimizer": {"share_prompt_prefix": True, "liger": True}}, "share_prompt_prefix and liger"),
        ({"optimizer": {"share_prompt_prefix": True, "torch_compile": True}}, "share_prompt_prefix and torch_compile"),
        ({"optimizer": {"torch_compile": True}, "alignment": {"cross_view": {}}}, "torch_compile: objectives"),
        (
            {"attn_implementation": "eager", "alignment": {"region_span_grounding": {}}, "answer": {"grounded": True}},
            "eager is out of reach",
        ),
        ({"attn_implementation": "quick"}, "attn_implementation"),
        ({"optimizer": {"name": "adam"}}, "optimizer.name"),
        ({"optimizer": {"loader_workers": -1}}, "loader_workers"),
    ],
)
def test_what_contradicts_is_refused_by_the_config(settings, reason) -> None:
    with pytest.raises(ValidationError, match=reason):
        config(**settings)
