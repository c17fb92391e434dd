from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from families import FAMILY_NAMES
from torch import nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from instruct_mner.engines.grouped_attention import _attention, grouped_attention
from instruct_mner.models.loading import load_model


@pytest.mark.parametrize("kept", [torch.bool, torch.float32])
@pytest.mark.parametrize(("tokens", "key_heads"), [(1, 2), (5, 2), (5, 6)])
def test_attention_in_groups_is_that_of_repeated_keys(tokens: int, key_heads: int, kept: torch.dtype) -> None:
    random = torch.Generator().manual_seed(0)
    query = torch.randn(3, 6, tokens, 8, generator=random)
    key, value = torch.randn(2, 3, key_heads, 7, 8, generator=random)
    allowed = torch.ones(3, 1, tokens, 7, dtype=torch.bool).tril(7 - tokens)
    allowed[0, ..., :2] = False  # padding
    mask = allowed if kept == torch.bool else torch.zeros(allowed.shape).masked_fill(~allowed, float("-inf"))
    module = SimpleNamespace(num_key_value_groups=6 // key_heads, is_causal=True)
    expected, _ = sdpa_attention_forward(module, query, key, value, mask, scaling=0.3)
    attended, _ = _attention(module, query, key, value, mask, scaling=0.3, sliding_window=None)
    assert torch.allclose(attended, expected, atol=1e-6)
    for row in range(3):
        for head in range(6):
            of_key = head // (6 // key_heads)
            scores = 0.3 * query[row, head] @ key[row, of_key].T
            weights = scores.masked_fill(~allowed[row, 0], float("-inf")).softmax(-1)
            assert torch.allclose(attended[row, :, head], weights @ value[row, of_key], atol=1e-6)


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_a_decoder_gives_the_same_in_the_block_and_is_as_it_was_behind_it(tiny_models, family: str) -> None:
    loaded = load_model(str(tiny_models(family)))
    decoder, own = loaded.decoder, loaded.decoder.config._attn_implementation
    ids = torch.arange(20).view(2, 10) % 7 + 20
    mask = torch.ones_like(ids)
    mask[0, :4] = 0
    with torch.no_grad():
        expected = decoder(input_ids=ids, attention_mask=mask).last_hidden_state
        with pytest.raises(InterruptedError), grouped_attention(decoder):
            assert decoder.config._attn_implementation == ("instruct_mner_grouped" if own == "sdpa" else own)
            states = decoder(input_ids=ids, attention_mask=mask).last_hidden_state
            raise InterruptedError
    assert torch.allclose(states[mask == 1], expected[mask == 1], atol=1e-5)
    assert decoder.config._attn_implementation == own


def test_another_attention_than_sdpa_stays() -> None:
    decoder, config = nn.Linear(1, 1), SimpleNamespace(_attn_implementation="eager")
    vars(decoder)["config"] = config
    with grouped_attention(decoder):
        assert config._attn_implementation == "eager"
