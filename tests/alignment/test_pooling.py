"""Operations on states, with values worked by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from instruct_mner.alignment.objective import AlignmentBatch, View
from instruct_mner.alignment.pooling import (
    gathered,
    image_mask,
    image_tokens,
    log_mass,
    masked_mean,
    nothing,
    span_mask,
    wide,
)
from instruct_mner.alignment.sample_tokens import SampleTokens

STATES = torch.tensor([[[1.0, 10.0], [2.0, 20.0], [6.0, 60.0]], [[3.0, 30.0], [4.0, 40.0], [5.0, 50.0]]])
MASKS = st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("given_type", "result"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_sums_are_in_float32_or_wider(given_type: torch.dtype, result: torch.dtype) -> None:
    assert wide(torch.ones(2, dtype=given_type)).dtype == result
    # 257 has nine bits: in bfloat16 the sum would be 256.
    many = torch.ones(1, 257, 1, dtype=given_type)
    mean = masked_mean(many, torch.ones(1, 257, dtype=torch.bool))
    assert mean.dtype == result
    assert mean.item() == pytest.approx(1.0, abs=1e-6)


def test_a_loss_of_nothing_is_zero_and_part_of_the_graph() -> None:
    states = STATES.clone().requires_grad_()
    loss = nothing(AlignmentBatch(image=View(states=states, inputs={})))
    loss.backward()
    assert loss.item() == 0
    assert states.grad is not None
    assert not states.grad.any()


def test_image_tokens_are_counted_and_masked() -> None:
    assert image_tokens(SampleTokens(key="a")) == 0
    assert image_tokens(SampleTokens(key="a", image_boxes=torch.zeros(3, 4))) == 3
    view = View(states=STATES, inputs={"input_ids": torch.tensor([[9, 1, 9], [1, 1, 1]])})
    assert image_mask(view, 9).tolist() == [[True, False, True], [False, False, False]]


def test_the_mean_of_a_mask_and_zeros_where_it_is_empty() -> None:
    mask = torch.tensor([[True, False, True], [False, False, False]])
    assert masked_mean(STATES, mask).tolist() == [[3.5, 35.0], [0.0, 0.0]]


def test_spans_hold_their_first_and_last_token() -> None:
    mask = span_mask([(1, 2), None, (0, 0)], 4, torch.device("cpu"))
    assert mask.long().tolist() == [[0, 1, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0]]


def test_states_are_gathered_without_gaps() -> None:
    mask = torch.tensor([[True, False, True], [False, True, False]])
    states, own = gathered(STATES, mask)
    assert states.tolist() == [[[1.0, 10.0], [6.0, 60.0]], [[4.0, 40.0], [0.0, 0.0]]]
    assert own.tolist() == [[True, True], [True, False]]


@given(MASKS)
def test_what_is_gathered_is_what_the_mask_holds_in_order(rows: list[list[bool]]) -> None:
    mask = torch.tensor(rows)
    states = torch.arange(mask.numel() * 2, dtype=torch.float64).reshape(*mask.shape, 2) + 1
    moved, own = gathered(states, mask)
    assert moved.shape[1] == max(map(sum, rows))
    assert torch.equal(moved[own], states[mask])
    assert not moved[~own].any()
    assert own.sum(dim=1).tolist() == list(map(sum, rows))


def test_the_logarithm_of_the_attention_on_some_tokens() -> None:
    # Attention of 1/8, 1/8, 1/4 and 1/2, and a token that is masked out.
    scores = torch.tensor([1.0, 1.0, 2.0, 4.0, 0.0]).log()
    chosen = torch.tensor([True, False, True, False, True])
    assert log_mass(scores, chosen).item() == pytest.approx(math.log(3 / 8), rel=1e-6)
    assert log_mass(scores + 100, chosen).item() == pytest.approx(math.log(3 / 8), rel=1e-4)
    assert log_mass(scores, torch.ones(5, dtype=torch.bool)).item() == pytest.approx(0, abs=1e-6)
