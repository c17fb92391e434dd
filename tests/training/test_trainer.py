"""The trainer against TRL's, and the rules that auxiliary losses must keep."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from families import BOTH_KINDS
from rich.console import Console
from transformers import TrainerCallback

from instruct_mner.alignment.objective import AlignmentBatch, Needs
from instruct_mner.testing.posts import make_posts
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.finetune import build_trainer
from instruct_mner.training.setup import prepare


class Energy:
    """Mean square of the states of each example: an auxiliary loss whose gradient is known to be there."""

    name = "energy"
    weight = 0.5
    warmup_steps = 0
    needs = Needs()

    def __call__(self, batch: AlignmentBatch) -> tuple[torch.Tensor, Mapping[str, float]]:
        mask = batch.inputs["attention_mask"].unsqueeze(-1)
        each = (batch.states.float().pow(2) * mask).sum((1, 2)) / mask.sum((1, 2))
        return each.mean(), {"largest": each.max().item()}


class Nothing(Energy):
    """An objective with nothing to do."""

    name = "nothing"

    def __call__(self, batch: AlignmentBatch) -> tuple[torch.Tensor, Mapping[str, float]]:
        return batch.states.sum() * 0, {}


class Gradients(TrainerCallback):
    """Keeps the gradients of the first step, before they are clipped by more than a hair or applied."""

    def __init__(self) -> None:
        self.kept: dict[str, torch.Tensor] = {}

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs) -> None:
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                self.kept[name] = parameter.grad.detach().clone()


def trained(
    model: Path, folder: Path, *, objectives=(), batch: int = 2, steps: int = 1, max_steps: int = 1, num_posts=4, **more
):
    """A trainer after some steps, with the gradients of the last and the losses of all."""
    posts = make_posts(folder / "posts")
    lines = posts.read_text(encoding="utf-8").split("\n")[:-1]
    lines = [*lines, *(line.replace('"post-', '"again-', 1) for line in lines)][:num_posts]
    posts.write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = FinetuneConfig.model_validate(
        {
            "model": str(model),
            "data": {"train": str(posts)},
            "labels": ["PER", "LOC", "ORG", "MISC"],
            "lora": {"dropout": 0.0, "rank": 8},
            "optimizer": {
                "batch_size": batch,
                "gradient_accumulation_steps": steps,
                "max_steps": max_steps,
                "max_grad_norm": 1e9,
                "learning_rate": 1e-3,
                **more,
            },
            "output": str(folder / "run"),
        }
    )
    (folder / "run").mkdir(parents=True)
    trainer = build_trainer(prepare(config), folder / "run" / "checkpoints", Console(quiet=True))
    trainer._objectives = tuple(objectives)
    gradients = Gradients()
    trainer.add_callback(gradients)
    trainer.train()
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    return trainer, gradients.kept, losses


@pytest.mark.parametrize("family", BOTH_KINDS)
def test_only_lora_of_the_decoder_is_trained(family, tiny_models, tmp_path) -> None:
    trainer, gradients, _ = trained(tiny_models(family), tmp_path)
    names = {name for name, parameter in trainer.model.named_parameters() if parameter.requires_grad}
    assert names == set(gradients)
    assert all(
        "lora_" in name and ".layers." in name and "vision" not in name and "visual" not in name for name in names
    )


@pytest.mark.parametrize("family", BOTH_KINDS)
def test_an_objective_with_nothing_to_do_changes_nothing(family, tiny_models, tmp_path) -> None:
    _, plain, losses = trained(tiny_models(family), tmp_path / "plain", max_steps=3)
    _, same, same_losses = trained(tiny_models(family), tmp_path / "same", objectives=[Nothing()], max_steps=3)
    assert losses == same_losses
    assert all(torch.equal(plain[name], same[name]) for name in plain)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("family", BOTH_KINDS)
def test_the_gradient_of_an_objective_reaches_the_lora(family, checkpointing, tiny_models, tmp_path) -> None:
    more = {"gradient_checkpointing": checkpointing}
    _, plain, _ = trained(tiny_models(family), tmp_path / "plain", **more)
    trainer, moved, _ = trained(tiny_models(family), tmp_path / "energy", objectives=[Energy()], **more)
    differ = [name for name in plain if not torch.allclose(plain[name], moved[name], atol=1e-7)]
    # At the start LoRA's B is zero, so that A has no gradient at all: every B must have moved.
    assert {name for name in plain if "lora_B" in name} <= set(differ)
    logged = [line for line in trainer.state.log_history if "energy/loss" in line]
    assert logged
    assert logged[0]["energy/largest"] >= logged[0]["energy/loss"] > 0


@pytest.mark.parametrize(
    ("family", "batch", "objectives"),
    [
        *((family, 4, ()) for family in (*BOTH_KINDS, "qwen2_5_vl")),
        *(pytest.param(family, 4, (), marks=pytest.mark.prove) for family in ("qwen3_5", "gemma4")),
        *((family, 2, (Energy(),)) for family in BOTH_KINDS),
    ],
)
def test_accumulation_changes_no_gradient(family, batch, objectives, tiny_models, tmp_path) -> None:
    """One step of 8 posts is that of two times 4, or four times 2, whose answers have different lengths.

    Trainer itself counts no answer tokens for Qwen2.5-VL and Qwen3-VL: a mean of means is another loss.
    """
    (expected, whole), (gradients, loss) = (
        trained(
            tiny_models(family), tmp_path / str(each), objectives=objectives, batch=each, steps=8 // each, num_posts=8
        )[1:]
        for each in (8, batch)
    )
    assert loss[0] == pytest.approx(whole[0], rel=1e-3)
    assert max(gradient.abs().max() for gradient in expected.values()) > 1e-3
    for name, gradient in expected.items():
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("family", BOTH_KINDS)
def test_the_hook_leaves_nothing_behind(family, tiny_models, tmp_path) -> None:
    trainer, _, _ = trained(tiny_models(family), tmp_path, objectives=[Energy()])
    decoder = trainer.model.get_base_model().get_submodule(
        "model.text_model" if family == "idefics3" else "model.language_model"
    )
    assert not decoder._forward_hooks


def test_whole_models_keep_small_steps(tiny_models, tmp_path) -> None:
    """A bfloat16 weight would lose them: bfloat16 is the type of the forwards alone."""
    config = FinetuneConfig.model_validate(
        {
            "model": str(tiny_models("qwen2_vl")),
            "data": {"train": str(make_posts(tmp_path / "posts"))},
            "tuning": "full",
            "dtype": "bfloat16",
            "output": str(tmp_path / "run"),
        }
    )
    (tmp_path / "run").mkdir()
    trainer = build_trainer(prepare(config), tmp_path / "run" / "checkpoints", Console(quiet=True))
    assert {each.dtype for each in trainer.model.parameters()} == {torch.float32}
    assert trainer.args.bf16
