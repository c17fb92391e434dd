"""A cache with room holds what one without it holds."""

from __future__ import annotations

import torch
from transformers import DynamicCache, LlamaConfig

from instruct_mner.engines.kv_cache import roomy_cache


def test_it_holds_what_the_plain_one_holds_through_all_that_is_done_to_it() -> None:
    config = LlamaConfig(num_hidden_layers=2, vocab_size=8, hidden_size=8, num_attention_heads=2, pad_token_id=0)
    caches = [DynamicCache(config=config), roomy_cache(config)]
    draw = torch.Generator().manual_seed(0)

    def add(rows: int, tokens: int) -> None:
        for layer in (0, 1):
            states = [torch.randn(rows, 2, tokens, 4, generator=draw) for _ in range(2)]
            plain, roomy = (cache.update(*states, layer) for cache in caches)
            for expected, found in zip(plain, roomy, strict=True):
                assert torch.equal(found, expected)

    add(3, 70)
    for _ in range(150):  # more than there was room for
        add(3, 1)
    for cache in caches:
        cache.batch_select_indices(torch.tensor([2, 0]))
    add(2, 1)
    for cache in caches:
        cache.crop(-5)
    add(2, 3)
    for cache in caches:
        cache.batch_repeat_interleave(2)
    add(4, 1)
    assert caches[1].get_seq_length() == caches[0].get_seq_length() == 70 + 150 + 1 - 5 + 3 + 1
