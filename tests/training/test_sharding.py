"""Runs whose weights lie in parts in several processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from runs import QUIET, config_of
from safetensors.torch import load_file
from sharded_driver import SETTINGS

from instruct_mner.errors import ConfigError
from instruct_mner.models.merging import merge_adapter
from instruct_mner.training.config import FinetuneConfig, load_config
from instruct_mner.training.finetune import finetune
from instruct_mner.training.machine_checks import check_machine
from instruct_mner.training.progress import read_metrics
from instruct_mner.training.sharding import (
    is_sharded,
    problems_of_sharding,
    reads_weights,
    whole_weights,
)
from instruct_mner.training.zero3 import problems_of_zero3

EXACT = {"share_prompt_prefix": False, "group_by_length": False}


def config(**more: Any) -> FinetuneConfig:
    return FinetuneConfig.model_validate({"model": "m", "data": {"train": "t"}, "output": "o", **more})


@pytest.fixture
def _in_parts(monkeypatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", "2")


def test_one_process_has_its_weights_whole() -> None:
    assert not is_sharded()
    assert reads_weights()
    assert not list(problems_of_sharding(config(tuning="full")))
    assert whole_weights(torch.nn.Linear(1, 1)) is None


@pytest.mark.usefixtures("_in_parts")
@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"alignment": {"region_span_grounding": {}}}, "region_span_grounding.heads: auto"),
        ({"vision_cache": {"enabled": True}}, "vision_cache.enabled"),
    ],
)
def test_what_cannot_be_in_parts_is_refused(settings, reason) -> None:
    with pytest.raises(ConfigError, match=reason):
        check_machine(config(**settings))


@pytest.mark.usefixtures("_in_parts")
def test_the_rest_passes(monkeypatch) -> None:
    check_machine(config())
    check_machine(config(tuning="full"))
    with monkeypatch.context() as patch, pytest.raises(ConfigError, match="tuning: full needs torch"):
        patch.setattr(torch, "__version__", "2.12.1+cu130")
        check_machine(config(tuning="full"))
    check_machine(config(optimizer={"gradient_checkpointing": True}, data={"train": "t", "dev": "d"}))
    check_machine(config(alignment={"region_span_grounding": {"heads": [0, 1]}, "cross_view": {}}))
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
    with pytest.raises(ConfigError, match="tuning: qlora: FSDP would cast"):
        check_machine(config(tuning="qlora"))
    monkeypatch.setenv("FSDP_STATE_DICT_TYPE", "FULL_STATE_DICT")
    with pytest.raises(ConfigError, match="SHARDED_STATE_DICT"):
        check_machine(config())
    monkeypatch.delenv("FSDP_STATE_DICT_TYPE")
    monkeypatch.setenv("FSDP_VERSION", "1")
    with pytest.raises(ConfigError, match="only version 2"):
        check_machine(config())


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"tuning": "full"}, "tuning: full"),
        ({"tuning": "qlora"}, "tuning: qlora: ZeRO-3"),
        ({"vision_cache": {"enabled": True}}, "vision_cache.enabled"),
        ({"alignment": {"region_span_grounding": {}}}, "region_span_grounding.heads: auto"),
        ({"alignment": {"region_span_grounding": {"through": "head"}}}, "region_span_grounding: ZeRO-3 would clip"),
        ({"alignment": {"generative": {}}}, "generative: ZeRO-3 would clip"),
        (
            {"alignment": {"cross_view": {}}, "optimizer": {"gradient_checkpointing": True}},
            "gradient_checkpointing: objectives would teach nothing",
        ),
    ],
)
def test_what_zero3_cannot_do_is_refused(settings, reason, monkeypatch) -> None:
    for name, value in SETTINGS["zero3"].items():
        monkeypatch.setenv(name, value)
    check_machine(config())
    check_machine(config(alignment={"region_span_grounding": {"heads": [0, 1]}, "cross_view": {}}))
    check_machine(config(optimizer={"gradient_checkpointing": True}, data={"train": "t", "dev": "d"}))
    with pytest.raises(ConfigError, match=reason):
        check_machine(config(**settings))


@pytest.mark.parametrize(
    ("name", "value"), [("ZERO_STAGE", "2"), ("OFFLOAD_PARAM_DEVICE", "cpu"), ("CONFIG_FILE", "ds.json")]
)
def test_other_forms_of_deepspeed_are_refused(name, value, monkeypatch) -> None:
    for each in SETTINGS["zero3"].items():
        monkeypatch.setenv(*each)
    monkeypatch.setenv(f"ACCELERATE_DEEPSPEED_{name}", value)
    [problem] = problems_of_zero3(config())
    assert "only stage 3 without offload" in problem


def test_the_configs_of_accelerate_are_of_what_is_supported() -> None:
    folder = Path(__file__).parents[2] / "deploy" / "accelerate"
    settings = yaml.safe_load((folder / "fsdp2.yaml").read_text())
    assert settings["distributed_type"] == "FSDP"
    assert settings["fsdp_config"]["fsdp_version"] == 2
    settings = yaml.safe_load((folder / "zero3.yaml").read_text())
    assert settings["distributed_type"] == "DEEPSPEED"
    assert settings["deepspeed_config"]["zero_stage"] == 3


def in_two_processes(path: Path, *more: str) -> None:
    driver = Path(__file__).with_name("sharded_driver.py")
    result = subprocess.run(
        [sys.executable, str(driver), str(path), *more],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr[-3000:]


# In some steps one process has a post without a picture, or one with a generated picture, and the other has not.
OBJECTIVES = {
    "cross_view": {},
    # Its gradient is that of a process, so that it is run beside without weight: nobody waits forever.
    "information_bottleneck": {"width": 16, "weight": 0},
    "region_span_grounding": {"through": "head", "width": 16},
    "generative": {"width": 16, "grid": 2, "generated_share": 0.5},
}
ATTENTION = {"cross_view": {}, "region_span_grounding": {"layer": 1, "heads": [0, 1]}}


@pytest.mark.prove  # about a minute each
@pytest.mark.parametrize(
    ("launch", "tuning", "alignment", "batch", "more"),
    [
        ("fsdp2", "lora", {}, 1, {}),
        ("fsdp2", "lora", OBJECTIVES, 1, {"gradient_accumulation_steps": 2}),
        ("fsdp2", "lora", ATTENTION, 3, {"share_prompt_prefix": True}),
        ("fsdp2", "qlora", ATTENTION, 1, {}),
        ("fsdp2", "full", OBJECTIVES, 1, {"gradient_accumulation_steps": 2}),
        ("zero3", "lora", {}, 1, {"gradient_checkpointing": True}),
        ("zero3", "lora", ATTENTION, 3, {"share_prompt_prefix": True, "gradient_accumulation_steps": 2}),
    ],
    ids=["plain", "objectives", "shared_prefix", "qlora", "full", "zero3", "zero3_objectives"],
)
def test_two_processes_with_parts_have_the_loss_of_one(
    launch, tuning, alignment, batch, more, tiny_models, tmp_path
) -> None:
    """20 steps, ended after the checkpoint of step 10 and resumed; the weights are those of one process, and merge."""
    if tuning == "qlora":
        pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed: pip install 'instruct-mner[qlora]'")
    if launch == "zero3":
        pytest.importorskip("deepspeed", reason="deepspeed is not installed: pip install deepspeed")
    # In 4 bits it is computed in bfloat16, whose rounding depends on the rows of a batch.
    apart = 2e-3 if tuning == "qlora" else 1e-4
    lora = {"rank": 8, "dropout": 0.0}
    changes = {"tuning": tuning, "lora": lora, "evaluation": {"every_steps": 10, "posts": 3}}
    settings = {**EXACT, "max_steps": 20, "learning_rate": 2e-3, **more}
    runs = {}
    for name, size in (("one", 2 * batch), ("two", batch)):
        folder = tmp_path / name
        folder.mkdir()
        optimizer = {**settings, "batch_size": size}
        path = config_of(tiny_models("idefics3"), folder, optimizer=optimizer, alignment=alignment, **changes)
        if not alignment:
            values = yaml.safe_load(path.read_text())
            del values["data"]["dev"]
            path.write_text(yaml.safe_dump(values))
        runs[name] = path
    finetune(load_config(runs["one"]), QUIET)
    in_two_processes(runs["two"], "--launch", launch, "--end-after", "10")
    assert (tmp_path / "two" / "run" / "checkpoints" / "checkpoint-10" / "complete").is_file()
    in_two_processes(runs["two"], "--launch", launch, "--resume")
    lines = {name: read_metrics(path.parent / "run" / "metrics.jsonl") for name, path in runs.items()}
    # Norms of all gradients, of the heads too: processes that did not agree would soon differ in them.
    names = ["loss", "grad_norm", *(["alignment/head_grad_norm"] if alignment is OBJECTIVES else [])]
    for name in names:
        one, two = ([line[name] for line in lines[each] if name in line] for each in ("one", "two"))
        assert len(one) == 20
        assert two == pytest.approx(one, rel=apart), name
    # The first process logs what its own posts have: not in each of the steps that are measured, but in the first.
    # ZeRO-3 gives up the weights of a layer in its backward pass, so that no other gradient is measured before; nor is
    # any of a whole model.
    shares = [] if launch == "zero3" or tuning == "full" else [("region_span_grounding/gradient_share", 1)]
    for name, num_lines in (*shares, ("eval_f1", 2)) if alignment else ():
        one, two = ([line[name] for line in lines[each] if name in line][:num_lines] for each in ("one", "two"))
        assert len(one) == num_lines
        assert two == pytest.approx(one, rel=10 * apart), name
    first, second = (saved(tmp_path / name / "run") for name in ("one", "two"))
    assert set(first) == set(second)
    for name, weight in first.items():
        if "information_bottleneck" not in name:  # trained by the divergence of its own process
            torch.testing.assert_close(second[name], weight, rtol=1e-2, atol=10 * apart)
    if tuning != "full":
        merge_adapter(tmp_path / "two" / "run", tmp_path / "merged")
        assert (tmp_path / "merged" / "model.safetensors").is_file()


def saved(run: Path) -> dict[str, torch.Tensor]:
    heads = run / "alignment" / "heads.safetensors"
    adapter = run / "adapter" / "adapter_model.safetensors"
    return {
        **load_file(adapter if adapter.is_file() else run / "model" / "model.safetensors"),
        **(load_file(heads) if heads.is_file() else {}),
    }
