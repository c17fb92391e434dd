"""Trainings that diverge: they end with one message, and nothing of them is saved as a result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from runs import QUIET, config_of
from torch import nn

from instruct_mner.errors import ConfigError
from instruct_mner.training.config import load_config
from instruct_mner.training.divergence import check_step, check_weights
from instruct_mner.training.finetune import finetune
from instruct_mner.training.trainer import MnerTrainer


@pytest.mark.parametrize(
    ("logs", "found"),
    [
        ({"loss": float("nan"), "grad_norm": 1.0}, r"^step 3: the loss is nan, so"),
        ({"loss": 0.5, "grad_norm": float("inf")}, r"^step 3: the norm of the gradient is inf, so"),
        ({"loss": float("inf"), "grad_norm": float("nan")}, r"the loss is inf and the norm of the gradient is nan"),
    ],
)
def test_a_loss_or_gradient_that_is_no_number_is_told_with_what_to_do(logs: dict[str, float], found: str) -> None:
    check_step({"loss": 0.5, "grad_norm": 1.0}, 3, Path("run/checkpoints"))
    check_step({"eval_f1": 0.5}, 3, Path("run/checkpoints"))
    with pytest.raises(ConfigError, match=found) as raised:
        check_step(logs, 3, Path("run/checkpoints"))
    assert "lower learning_rate" in str(raised.value)
    assert "stay in run/checkpoints" in str(raised.value)


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_weights_that_are_trained_must_be_numbers(value: float, tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    check_weights(model, 3, tmp_path)
    with torch.no_grad():
        model.bias[1] = value
    with pytest.raises(ConfigError, match="step 3: weights are infinite or NaN"):
        check_weights(model, 3, tmp_path)
    model.bias.requires_grad_(False)
    check_weights(model, 3, tmp_path)


@pytest.mark.parametrize("dev", [True, False])
def test_a_run_that_diverges_saves_nothing(dev: bool, tiny_models, tmp_path: Path) -> None:
    """The second step makes weights of NaN with a loss that is a number."""
    changes = {} if dev else {"data": {"train": str(tmp_path / "posts" / "posts.jsonl")}}
    optimizer = {"max_steps": 2, "batch_size": 2, "learning_rate": 1e300, "warmup_steps": 1}
    config = config_of(tiny_models("idefics3"), tmp_path, optimizer=optimizer, evaluation={"every_steps": 1}, **changes)
    with pytest.raises(ConfigError, match="step 2: weights are infinite or NaN"):
        finetune(load_config(config), QUIET)
    assert [path.name for path in (tmp_path / "run" / "checkpoints").glob("checkpoint-*")] == ["checkpoint-1"]
    assert not (tmp_path / "run" / "adapter").exists()


def test_a_loss_of_nan_is_logged_as_json_and_ends_the_run(tiny_models, tmp_path: Path, monkeypatch) -> None:
    whole = MnerTrainer.compute_loss

    def compute_loss(self, *arguments, **named) -> Any:
        loss: Any = whole(self, *arguments, **named)
        return loss * float("nan") if self.state.global_step == 4 else loss

    monkeypatch.setattr(MnerTrainer, "compute_loss", compute_loss)
    with pytest.raises(ConfigError, match="step 5: the loss is nan and the norm of the gradient is nan"):
        finetune(load_config(config_of(tiny_models("idefics3"), tmp_path)), QUIET)

    def refuse(name: str) -> NoReturn:
        raise AssertionError(f"{name} is no JSON")

    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    last = json.loads(lines[-1], parse_constant=refuse)
    assert (last["step"], last["loss"], last["grad_norm"]) == (5, None, None)
    assert not (tmp_path / "run" / "adapter").exists()
    assert (tmp_path / "run" / "checkpoints" / "checkpoint-3" / "complete").is_file()
