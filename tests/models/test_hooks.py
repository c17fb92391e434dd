"""What hooks catch of a forward, against what the model itself says."""

from __future__ import annotations

import pytest
import torch
from families import FAMILY_NAMES
from runs import aligned_run

from instruct_mner.models.hooks import attention_of, capture
from instruct_mner.training.batch import VIEWS


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_attention_of_some_rows_is_that_of_the_layer(family, tiny_models, tmp_path) -> None:
    run = aligned_run(tiny_models(family), tmp_path, {})
    batch = {name: value for name, value in run.collator([{"index": 0}, {"index": 3}]).items() if name != VIEWS}
    model = run.loaded.model.eval()
    decoder = model.get_submodule(run.loaded.family.decoder_path)
    layers = [layer for layer in (0, 1) if attention_of(decoder, layer) is not None]
    assert layers == ([1] if run.loaded.family.recurrent else [0, 1])
    with torch.no_grad():
        with capture(decoder, layers=(1, 2), attention_layers=layers) as found:
            model(**batch)
        model.set_attn_implementation("eager")
        told = model(**batch, output_attentions=True, output_hidden_states=True)
    assert found.states is not None
    assert torch.equal(found.layers[2], found.states)
    torch.testing.assert_close(found.states, told.hidden_states[-1], rtol=1e-4, atol=1e-4)
    for example in (0, 1):
        length = int(batch["attention_mask"][example].sum())
        rows, heads = [length - 1, length - 9], [3, 0]
        for layer, told_weights in zip(layers, told.attentions, strict=True):
            scores = found.attention[layer].scores(example, rows, heads, batch["attention_mask"][example])
            expected = told_weights[example][heads][:, rows]
            torch.testing.assert_close(scores.softmax(-1), expected, rtol=1e-4, atol=1e-6)
