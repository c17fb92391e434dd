"""Recomputed attention against eager attention before training: equal, or refused with numbers."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from families import FAMILY_NAMES
from runs import aligned_run

from instruct_mner.errors import ModelError
from instruct_mner.models.attention_check import check_attention
from instruct_mner.models.hooks import AttentionInputs

ATTENTION = {"region_span_grounding": {"through": "attention"}}


# Families, and models of them whose decoder is another.
@pytest.mark.parametrize("model", [*FAMILY_NAMES, "internvl3_5", "gemma4_shared"])
def test_both_layers_of_every_family_are_computed_as_the_model_computes_them(model, tiny_models, tmp_path) -> None:
    run = aligned_run(tiny_models(model), tmp_path, {})
    loaded, inputs = run.loaded, run.collator.inputs([{"index": 0}])
    parts = (loaded.base, loaded.decoder)
    kinds = [module.config._attn_implementation for module in parts]
    layers = range(len(loaded.decoder.layers))
    for pair in pairwise(layers):
        if loaded.family.recurrent:
            with pytest.raises(ModelError, match=r"layer 1 of the decoder has no attention weights.*through: head"):
                check_attention(loaded, inputs, pair)
        else:
            check_attention(loaded, inputs, pair)
    assert kinds == [module.config._attn_implementation for module in parts]
    assert len(loaded.decoder.layers) == len(layers)


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
