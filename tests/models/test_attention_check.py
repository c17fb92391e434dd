"""Recomputed attention against eager attention before training: equal, or refused with numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from families import FAMILY_NAMES
from runs import aligned_run

from instruct_mner.errors import ModelError
from instruct_mner.models.attention_check import check_attention
from instruct_mner.models.hooks import AttentionInputs

ATTENTION = {"region_span_grounding": {"through": "attention"}}


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_both_layers_of_every_family_are_computed_as_the_model_computes_them(family, tiny_models, tmp_path) -> None:
    run = aligned_run(tiny_models(family), tmp_path, {})
    inputs = run.collator.inputs([{"index": 0}])
    kinds = [module.config._attn_implementation for module in (run.loaded.base, run.loaded.decoder)]
    check_attention(run.loaded, inputs, (0, 1))
    assert kinds == [module.config._attn_implementation for module in (run.loaded.base, run.loaded.decoder)]
    assert len(run.loaded.decoder.layers) == 2


def test_other_attention_is_refused_before_training(tiny_models, tmp_path, monkeypatch) -> None:
    whole = AttentionInputs.scores

    def sharper(self: AttentionInputs, *arguments: object) -> torch.Tensor:
        # The tiny model looks at all tokens nearly alike.
        return whole(replace(self, scaling=20 * self.scaling), *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(AttentionInputs, "scores", sharper)
    with pytest.raises(ModelError, match=r"attention of layer 1, .* is 0\.\d+ away .*at most 0\.001.*through: head"):
        aligned_run(tiny_models("qwen3_vl"), tmp_path / "other", ATTENTION)
    aligned_run(tiny_models("qwen3_vl"), tmp_path / "head", {"region_span_grounding": {"through": "head"}})


def test_a_layer_without_attention_is_refused(tiny_models, tmp_path) -> None:
    run = aligned_run(tiny_models("qwen3_vl"), tmp_path, {})
    del run.loaded.decoder.layers[1].self_attn
    with pytest.raises(ModelError, match="layer 2 of the decoder has no attention weights"):
        check_attention(run.loaded, run.collator.inputs([{"index": 0}]), (0, 1))
