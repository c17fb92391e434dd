"""Models of newer families, and models of a family whose decoder is another: from posts to a merged model."""

from __future__ import annotations

import pytest
import torch
from peft import get_peft_model
from runs import EVERYTHING, aligned_run, trainer_of

from instruct_mner.models.loading import count_adapted_modules, load_model, lora_config
from instruct_mner.models.merging import merge_adapter
from instruct_mner.tagging.tagger import Tagger
from instruct_mner.training.finetune import save_weights

THROUGH_ATTENTION = {**EVERYTHING, "region_span_grounding": {"through": "attention"}}
# Linear layers of the decoder that have an adapter.
ADAPTED = {
    "internvl3_5": 14,
    "gemma4_shared": 4 * 7 - 2 * 2,
    "qwen3_vl_moe": 8,
    "qwen3_5": 13,
    "gemma4": 14,
    "glm46v": 12,
}


@pytest.mark.parametrize("model", ["internvl3_5", "gemma4_shared"])
def test_lora_is_on_all_that_a_layer_has_of_its_own(model, tiny_models) -> None:
    loaded = load_model(str(tiny_models(model)))
    adapted = get_peft_model(loaded.model, lora_config(loaded.family, rank=8, alpha=16, dropout=0.0))
    counts = count_adapted_modules(adapted, loaded.family)
    assert counts.pop("decoder") == ADAPTED[model]
    assert not any(counts.values())


@pytest.mark.prove
@pytest.mark.parametrize("model", ADAPTED)
def test_two_steps_with_all_objectives_then_tagged_and_merged(model, tiny_models, tmp_path) -> None:
    alignment = EVERYTHING if model == "qwen3_5" else THROUGH_ATTENTION
    run = aligned_run(tiny_models(model), tmp_path, alignment)
    trainer = trainer_of(run)
    trainer.train()
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    assert len(losses) == 2
    assert all(torch.isfinite(torch.tensor(losses)))
    folder = run.config.output
    save_weights(trainer, run, folder / "adapter")
    dataset = run.train
    tagged = list(Tagger.from_pretrained(folder).predict(dataset.examples, dataset.picture_paths))
    for prediction in tagged:
        assert prediction.rejected.hallucinated == 0
    merged = merge_adapter(folder, tmp_path / "merged")
    again = list(Tagger.from_pretrained(merged).predict(dataset.examples, dataset.picture_paths))
    assert [each.id for each in again] == [each.id for each in tagged]
    assert all(prediction.rejected.hallucinated == 0 for prediction in again)
