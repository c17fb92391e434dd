"""Runs whose weights lie in parts in several processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
import yaml
from runs import QUIET, config_of
from safetensors.torch import load_file

from instruct_mner.data.dataset import Dataset
from instruct_mner.errors import ConfigError
from instruct_mner.models.merging import merge_adapter
from instruct_mner.training.config import FinetuneConfig, load_config
from instruct_mner.training.finetune import finetune
from instruct_mner.training.machine_checks import check_machine
from instruct_mner.training.progress import read_metrics
from instruct_mner.training.sharding import (
    check_pictures,
    is_sharded,
    problems_of_sharding,
    reads_weights,
    whole_weights,
)
from instruct_mner.training.trl_arguments import shares_prompt_prefix

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
    assert not list(problems_of_sharding(config(alignment={"cross_view": {}})))
    assert whole_weights(torch.nn.Linear(1, 1), None) is None


@pytest.mark.usefixtures("_in_parts")
@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"alignment": {"cross_view": {}}}, "alignment: objectives"),
        ({"data": {"train": "t", "dev": "d"}}, "data.dev"),
        ({"tuning": "qlora"}, "tuning: qlora"),
        ({"optimizer": {"share_prompt_prefix": True}}, "optimizer.share_prompt_prefix"),
        ({"vision_cache": {"enabled": True}}, "vision_cache.enabled"),
    ],
)
def test_what_cannot_be_in_parts_is_refused(settings, reason) -> None:
    with pytest.raises(ConfigError, match=reason):
        check_machine(config(**settings))


@pytest.mark.usefixtures("_in_parts")
def test_the_rest_passes(monkeypatch) -> None:
    check_machine(config())
    check_machine(config(tuning="full", optimizer={"gradient_checkpointing": True}))
    assert not shares_prompt_prefix(config().optimizer)
    monkeypatch.setenv("FSDP_STATE_DICT_TYPE", "FULL_STATE_DICT")
    with pytest.raises(ConfigError, match="SHARDED_STATE_DICT"):
        check_machine(config())
    monkeypatch.delenv("FSDP_STATE_DICT_TYPE")
    monkeypatch.setenv("FSDP_VERSION", "1")
    with pytest.raises(ConfigError, match="only version 2"):
        check_machine(config())


def test_the_config_of_accelerate_is_of_version_2() -> None:
    path = Path(__file__).parents[2] / "deploy" / "accelerate" / "fsdp2.yaml"
    settings = yaml.safe_load(path.read_text())
    assert settings["distributed_type"] == "FSDP"
    assert settings["fsdp_config"]["fsdp_version"] == 2


@pytest.mark.usefixtures("_in_parts")
def test_a_tuned_tower_needs_a_picture_in_every_post() -> None:
    both = SimpleNamespace(path="t", examples=[SimpleNamespace(images=("a.jpg",)), SimpleNamespace(images=())])
    one = SimpleNamespace(path="t", examples=both.examples[:1])
    check_pictures(config(tuning="full"), cast("Dataset", one))
    check_pictures(config(), cast("Dataset", both))
    check_pictures(config(tuning="full", max_images=0), cast("Dataset", both))
    for settings, posts in (({}, both), ({"augmentation": {"drop_picture": 0.1}}, one)):
        with pytest.raises(ConfigError, match="a picture in every post"):
            check_pictures(config(tuning="full", **settings), cast("Dataset", posts))


def keep_pictured(path: Path) -> None:
    """Leaves the posts with a picture."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    path.write_text("".join(f"{line}\n" for line in lines if json.loads(line).get("images")), encoding="utf-8")


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


@pytest.mark.prove  # about a minute
@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_two_processes_with_parts_have_the_loss_of_one(tuning, tiny_models, tmp_path) -> None:
    """20 steps, ended after the checkpoint of step 10 and resumed; the weights are those of one process, and merge."""
    changes = {"tuning": tuning, "lora": {"rank": 8, "dropout": 0.0}, "evaluation": {"every_steps": 10}}
    settings = {**EXACT, "max_steps": 20, "learning_rate": 2e-3 if tuning == "lora" else 1e-4}
    runs = {}
    for name, batch in (("one", 2), ("two", 1)):
        folder = tmp_path / name
        folder.mkdir()
        path = config_of(tiny_models("idefics3"), folder, optimizer={**settings, "batch_size": batch}, **changes)
        values = yaml.safe_load(path.read_text())
        del values["data"]["dev"]
        if tuning == "full":
            keep_pictured(Path(values["data"]["train"]))
        path.write_text(yaml.safe_dump(values))
        runs[name] = path
    finetune(load_config(runs["one"]), QUIET)
    in_two_processes(runs["two"], "--end-after", "10")
    assert (tmp_path / "two" / "run" / "checkpoints" / "checkpoint-10" / "complete").is_file()
    in_two_processes(runs["two"], "--resume")
    losses = {
        name: [line["loss"] for line in read_metrics(path.parent / "run" / "metrics.jsonl") if "loss" in line]
        for name, path in runs.items()
    }
    assert len(losses["one"]) == 20
    assert losses["two"] == pytest.approx(losses["one"], rel=1e-4)
    part = "adapter/adapter_model" if tuning == "lora" else "model/model"
    one, two = (load_file(tmp_path / name / "run" / f"{part}.safetensors") for name in ("one", "two"))
    assert set(one) == set(two)
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, rtol=1e-2, atol=1e-3)
    if tuning == "lora":
        merge_adapter(tmp_path / "two" / "run", tmp_path / "merged")
        assert (tmp_path / "merged" / "model.safetensors").is_file()
