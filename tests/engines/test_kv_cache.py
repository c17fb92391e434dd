"""A cache with room holds what one without it holds."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import DynamicCache, LlamaConfig

from instruct_mner.engines.kv_cache import is_joinable, join_rows, keep_rows, roomy_cache

CONFIG = LlamaConfig(num_hidden_layers=2, vocab_size=8, hidden_size=8, num_attention_heads=2, pad_token_id=0)


def test_it_holds_what_the_plain_one_holds_through_all_that_is_done_to_it() -> None:
    caches = [DynamicCache(config=CONFIG), roomy_cache(CONFIG)]
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


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 90), st.integers(0, 40)), min_size=1, max_size=4), st.data()
)
def test_rows_that_leave_and_join_keep_their_tokens(batches: list[tuple[int, int, int]], data: st.DataObject) -> None:
    """Each row holds the keys and values that it was given, whatever happens to its neighbours."""
    draw = torch.Generator().manual_seed(0)
    states_of: list[list[torch.Tensor]] = []  # keys and values of each row, (tokens, width)
    cache = None
    for rows, tokens, steps in batches:
        begun = roomy_cache(CONFIG)
        for layer in (0, 1):
            begun.update(*(torch.randn(rows, 2, tokens, 4, generator=draw) for _ in range(2)), layer)
        assert is_joinable(begun)
        states_of += [[begun.layers[1].keys[row].clone(), begun.layers[1].values[row].clone()] for row in range(rows)]
        if cache is None:
            cache = begun
        else:
            unused = cache.get_seq_length() - max(keys.shape[1] for keys, _ in states_of[:-rows])
            join_rows(cache, begun, num_rows=4, unused=(unused, 0))
        for _ in range(steps):
            new = [torch.randn(len(states_of), 2, 1, 4, generator=draw) for _ in range(2)]
            for layer in (0, 1):
                cache.update(*new, layer)
            states_of = [
                [torch.cat([old, more[row]], dim=1) for old, more in zip(states, new, strict=True)]
                for row, states in enumerate(states_of)
            ]
        kept = data.draw(st.lists(st.sampled_from(range(len(states_of))), min_size=1, unique=True))
        kept = _in_place(kept)
        keep_rows(cache, kept, torch.device("cpu"))
        states_of = [states_of[row] for row in kept]
        for row, (keys, values) in enumerate(states_of):
            assert torch.equal(cache.layers[1].keys[row, :, -keys.shape[1] :], keys)
            assert torch.equal(cache.layers[1].values[row, :, -keys.shape[1] :], values)
        assert cache.layers[1].values.isfinite().all()


def _in_place(rows: list[int]) -> list[int]:
    """Put rows in an order in which those that stay in front keep their places."""
    last = [row for row in rows if row >= len(rows)]
    return [row if row in rows else last.pop() for row in range(len(rows))]
