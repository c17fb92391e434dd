"""All objectives on every family: gradient reaches the LoRA, and nothing of them gets into the adapter."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from families import FAMILY_NAMES
from runs import EVERYTHING, aligned_run, trainer_of
from safetensors.torch import load_file
from transformers import TrainerCallback

from instruct_mner.training.finetune import save_weights


class Gradients(TrainerCallback):
    def __init__(self) -> None:
        self.kept: dict[str, torch.Tensor] = {}

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs) -> None:
        self.kept = {n: p.grad.detach().clone() for n, p in model.named_parameters() if p.grad is not None}


def stepped(model: Path, folder: Path, alignment: dict, **more):
    """A trainer after two steps, its run, and the gradients of the second."""
    run = aligned_run(model, folder, alignment, **more)
    trainer = trainer_of(run)
    gradients = Gradients()
    trainer.add_callback(gradients)
    trainer.train()
    return trainer, run, gradients.kept


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_gradient_reaches_the_lora_and_nothing_gets_into_the_adapter(family, tiny_models, tmp_path) -> None:
    more = {"optimizer": {"gradient_checkpointing": family in {"qwen3_vl", "idefics3", "gemma3"}}}
    _, _, plain = stepped(tiny_models(family), tmp_path / "plain", {}, **more)
    trainer, run, moved = stepped(tiny_models(family), tmp_path / "all", EVERYTHING, **more)
    lora = {name for name in moved if "lora_" in name}
    assert lora == set(plain)
    assert all(not torch.equal(moved[name], plain[name]) for name in lora)
    heads = {name for name in moved if name not in lora}
    assert {name.split(".")[1] for name in heads} == {"information_bottleneck", "region_span_grounding", "generative"}
    assert all(torch.isfinite(gradient).all() for gradient in moved.values())
    # Every head has learned something, but for what only annotated or generated posts reach.
    still = {name for name in heads if not moved[name].any()}
    assert not still, still

    save_weights(trainer, run, tmp_path / "adapter")
    saved = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert saved
    assert all("lora_" in name for name in saved)
    logged = {name for line in trainer.state.log_history for name in line}
    assert {"cross_view/kl", "information_bottleneck/mi", "region_span_grounding/region_attention"} <= logged
    assert {"generative/text2image_loss", "generative/generated_answer_loss"} <= logged
