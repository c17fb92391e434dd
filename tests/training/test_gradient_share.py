"""The scale check: gradients of objectives against that of the answer, measured without a change of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from families import BOTH_KINDS
from rich.console import Console
from runs import EVERYTHING, aligned_run, trainer_of
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState

from instruct_mner.training import gradient_share, trainer
from instruct_mner.training.gradient_share import MEASURED_STEPS, GradientShares, gradient_norm, measured_weights
from instruct_mner.training.progress import LOST, RunProgress

DEFAULTS: dict[str, dict[str, Any]] = {
    "cross_view": {"cross_view": {}},
    "information_bottleneck": {"information_bottleneck": {}},
    "attention": {"region_span_grounding": {}},
    "head": {"region_span_grounding": {"through": "head"}},
    "generative": {"generative": {}},
    "generation alone": {"generative": {"generated_share": 0}},
}


def trained(model: Path, folder: Path, alignment: dict[str, Any], **more: Any) -> tuple[Any, list[dict[str, float]]]:
    """A trainer after its steps, and the lines of its log."""
    made = trainer_of(aligned_run(model, folder, alignment, labels=["PER", "LOC", "ORG", "MISC"], **more))
    made.train()
    return made, [line for line in made.state.log_history if "loss" in line]


# Attention of random weights is sharp in Qwen3-VL and Gemma 3, which normalise queries and keys: there the share of
# `attention` is 2.
@pytest.mark.parametrize("name", DEFAULTS)
@pytest.mark.parametrize("family", ["idefics3", "qwen2_vl"])
def test_the_gradient_of_every_default_is_in_scale(family, name, tiny_models, tmp_path) -> None:
    _, [line] = trained(tiny_models(family), tmp_path, DEFAULTS[name], optimizer={"max_steps": 1})
    [objective] = DEFAULTS[name]
    assert f"{objective}/gradient_share" in line
    shares = GradientShares()
    shares.add(line)
    assert shares.outweighing() + shares.idle() == []


def test_the_constants_of_the_derived_code_are_out_of_scale(tiny_models, tmp_path) -> None:
    derived = {"generated_share": 0, "temperature": 6.0, "generation": 0.001, "cycle": 0.001}
    _, [line] = trained(tiny_models("idefics3"), tmp_path, {"generative": derived}, optimizer={"max_steps": 1})
    assert line["generative/gradient_share"] < 1e-4


class Gradients(TrainerCallback):
    """Gradients of the last step on what is not part of a head, as they are before the step."""

    def __init__(self) -> None:
        self.kept: dict[str, torch.Tensor] = {}

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs) -> None:
        self.kept = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None and "lora_" in n}


def test_the_share_is_that_of_the_gradients_themselves(tiny_models, tmp_path) -> None:
    """With a weight that grows, the share is that of the whole weight."""
    kept: list[dict[str, torch.Tensor]] = []
    more = {"optimizer": {"max_steps": 1, "max_grad_norm": 1e9}}
    grounding = {"region_span_grounding": {"warmup_steps": 10}}
    for alignment in ({}, grounding):
        run = aligned_run(tiny_models("idefics3"), tmp_path / str(len(kept)), alignment, **more)
        made, gradients = trainer_of(run), Gradients()
        made.add_callback(gradients)
        made.train()
        kept.append(gradients.kept)
    plain, both = kept
    apart = torch.stack([(both[name] - plain[name]).norm() for name in plain]).norm()
    answer = torch.stack([plain[name].norm() for name in plain]).norm()
    logged = next(line for line in made.state.log_history if "loss" in line)
    assert logged["region_span_grounding/gradient_share"] == pytest.approx((10 * apart / answer).item(), rel=1e-3)


@pytest.mark.parametrize("family", [BOTH_KINDS[0], pytest.param(BOTH_KINDS[1], marks=pytest.mark.prove)])
def test_measuring_changes_no_bit_of_training(family, tiny_models, tmp_path, monkeypatch) -> None:
    """With dropout, whose random numbers a second backward pass under checkpointing draws again."""
    weights = []
    for measured in ((), MEASURED_STEPS):
        monkeypatch.setattr(trainer, "MEASURED_STEPS", measured)
        made, lines = trained(
            tiny_models(family),
            tmp_path / str(len(measured)),
            EVERYTHING,
            lora={"rank": 8, "dropout": 0.2},
            optimizer={"max_steps": 4, "gradient_checkpointing": True},
        )
        assert sum("cross_view/gradient_share" in line for line in lines) == sum(step < 4 for step in measured)
        weights.append({name: value.clone() for name, value in made.model.state_dict().items()})
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_the_first_forward_of_a_step_is_measured(tiny_models, tmp_path, monkeypatch) -> None:
    calls: list[int] = []

    def counted(loss: torch.Tensor, weights: list[nn.Parameter]) -> float:
        calls.append(len(weights))
        return 1.0

    monkeypatch.setattr(trainer, "gradient_norm", counted)
    more = {"optimizer": {"batch_size": 1, "gradient_accumulation_steps": 2, "max_steps": 2}}
    trained(tiny_models("idefics3"), tmp_path, {"region_span_grounding": {}}, **more)
    # The answer's and the objective's in each of two steps, on all weights of the adapter.
    assert len(calls) == 4
    assert set(calls) == {2 * 7 * 2}


def test_a_gradient_norm_leaves_gradients_alone() -> None:
    weights = [nn.Parameter(torch.tensor([3.0])), nn.Parameter(torch.tensor([4.0])), nn.Parameter(torch.ones(1))]
    loss = (weights[0] * 3 + weights[1] * 4).sum()
    assert gradient_norm(loss, weights) == pytest.approx(5.0)
    assert gradient_norm(loss * 2, weights) == pytest.approx(10.0)
    assert all(weight.grad is None for weight in weights)
    assert gradient_norm((weights[2] * 1).sum(), weights[:2]) == 0.0


def test_of_very_many_weights_some_are_measured(monkeypatch) -> None:
    parameters = [nn.Parameter(torch.zeros(10), requires_grad=number % 2 == 0) for number in range(20)]
    assert len(measured_weights(parameters)) == 10
    monkeypatch.setattr(gradient_share, "_ENOUGH", 35)
    state = torch.random.get_rng_state()
    chosen = measured_weights(parameters)
    assert len(chosen) == 3
    assert [id(each) for each in chosen] == [id(each) for each in measured_weights(parameters)]
    assert torch.equal(torch.random.get_rng_state(), state)


def test_what_is_out_of_scale_or_not_found_is_said_once(tmp_path, capsys) -> None:
    callback = RunProgress(tmp_path / "metrics.jsonl", Console(soft_wrap=True, highlight=False))
    state = TrainerState()
    lines = [
        {
            "cross_view/gradient_share": 0.5,
            "generative/gradient_share": 1e-6,
            "region_span_grounding/gradient_share": 4,
        },
        {"cross_view/gradient_share": 1.2, "generative/gradient_share": 3e-6, "alignment/mentions_not_found": 2.0},
        {"cross_view/gradient_share": 0.5, "alignment/posts_not_found": 1.0},
        {},
        # Heads that have learned something.
        {"information_bottleneck/gradient_share": 0.1, "generative/gradient_share": 3e-6},
    ]
    lines[0]["information_bottleneck/gradient_share"] = 1e-4
    for number, line in enumerate(lines, start=1):
        state.global_step = number
        callback.on_log(None, state, TrainerControl(), logs={"loss": 1.0, **line})
    callback.on_train_end(None, state, TrainerControl())
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step")]
    scale = "(its gradient on the tuned weights is {} of the answer's; 0.001 to 1 is usual)"
    assert said == [
        f"step 2: {LOST}",
        "step 3: alignment.region_span_grounding outweighs the answer: lower its weights " + scale.format("4"),
        "step 5: alignment.generative trains next to nothing that is served: raise its weights "
        + scale.format("3e-06"),
    ]
