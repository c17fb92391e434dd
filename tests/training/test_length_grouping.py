"""Posts of like length together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from instruct_mner.training.length_grouping import LengthGroupedSampler


@given(st.lists(st.integers(0, 300), max_size=120), st.integers(1, 9), st.integers(0, 3), st.integers(0, 3))
def test_every_post_once_and_the_same_after_a_resume(lengths, batch_size, seed, epoch) -> None:
    orders = [LengthGroupedSampler(lengths, batch_size, seed) for _ in range(2)]
    for each in orders:
        each.set_epoch(epoch)
    assert sorted(orders[0]) == list(range(len(lengths)))
    assert list(orders[0]) == list(orders[1])


def test_batches_hold_like_lengths_in_another_order_each_epoch() -> None:
    lengths = [(index * 37) % 101 for index in range(160)]
    sampler = LengthGroupedSampler(lengths, 8, 0)
    epochs = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        epochs.append(list(sampler))
    batches = [[lengths[i] for i in epochs[0][start : start + 8]] for start in range(0, 160, 8)]
    padding = sum(max(batch) * 8 - sum(batch) for batch in batches)
    assert padding < 0.1 * sum(lengths)
    assert [max(batch) for batch in batches] != sorted(max(batch) for batch in batches)
    assert epochs[0] != epochs[1]
