"""Parts of bidirectional generation, with values worked by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from instruct_mner.alignment.generators import Generator, Sampler, grid_shares, kept_mean, softened_divergence

KEYS = ("0/0/a", "0/0/b")


def sampler(weight: float, bias: float) -> Sampler:
    made = Sampler(1)
    with torch.no_grad():
        made.score.weight.fill_(weight)
        made.score.bias.fill_(bias)
    return made


def test_a_sampler_without_noise_keeps_what_scores_above_zero_and_what_the_stage_before_kept() -> None:
    states = torch.tensor([[[2.0], [0.5], [3.0]]])
    before = torch.tensor([[1.0, 1.0, 0.0]])
    kept = sampler(1.0, -1.0)(states, before, None, "words")
    assert kept.tolist() == [[1.0, 0.0, 0.0]]


def test_a_stage_that_would_drop_all_tokens_changes_nothing() -> None:
    states, before = torch.tensor([[[1.0], [2.0]], [[9.0], [1.0]]]), torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    assert sampler(1.0, -5.0)(states, before, None, "words").tolist() == [[1.0, 0.0], [1.0, 0.0]]


def test_the_gradient_of_a_kept_token_is_that_of_the_sigmoid() -> None:
    made = sampler(1.0, 0.0)
    states = torch.tensor([[[2.0], [-1.0]]])
    made(states, torch.ones(1, 2), None, "words")[0, 0].backward()
    sigmoid = 1 / (1 + math.exp(-2.0))
    bias = made.score.bias.grad
    assert bias is not None
    assert bias.item() == pytest.approx(sigmoid * (1 - sigmoid), rel=1e-5)


def test_noise_depends_on_the_post_and_the_stage_alone() -> None:
    made = sampler(0.0, 0.0)
    states, before = torch.zeros(2, 400, 1), torch.ones(2, 400)
    drawn = made(states, before, KEYS, "words")
    assert torch.equal(made(states.flip(0), before, KEYS[::-1], "words"), drawn.flip(0))
    assert not torch.equal(made(states, before, KEYS, "cells"), drawn)
    # A score of 0 keeps half of the tokens; 400 draws are within four standard deviations of that.
    assert all(160 < count < 240 for count in drawn.sum(dim=1).tolist())
    sure = sampler(0.0, 30.0)
    assert sure(states, before, KEYS, "words").min() == 1


def test_generated_tokens_depend_on_own_tokens_only_and_not_on_those_that_were_dropped() -> None:
    torch.manual_seed(0)
    generator = Generator(source=3, target=5, num_queries=6, width=8)
    source = torch.randn(1, 4, 3)
    own, keep = torch.tensor([[True, True, True, False]]), torch.tensor([[1.0, 0.0, 1.0, 1.0]])
    written = torch.tensor([[True, True]])
    generated = generator(source, keep, own, written)
    assert generated.shape == (1, 2, 5)
    changed = source.clone()
    changed[0, 1] = torch.tensor([7.0, -7.0, 1.0])  # dropped by the sampler
    changed[0, 3] = torch.tensor([-5.0, 0.0, 9.0])  # padding
    assert torch.allclose(generator(changed, keep, own, written), generated, atol=1e-6)
    changed[0, 0] = torch.tensor([7.0, -7.0, 1.0])
    assert not torch.allclose(generator(changed, keep, own, written), generated)


def test_the_divergence_is_that_of_the_softmaxes_and_teaches_one_side_only() -> None:
    target, generated = torch.tensor([[0.0, math.log(3)]]), torch.tensor([[0.0, 0.0]])
    target.requires_grad_()
    generated.requires_grad_()
    found = softened_divergence(target, generated, 1.0)
    # Shares 1/4 and 3/4 against halves.
    assert found.item() == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5), rel=1e-5)
    found.sum().backward()
    assert target.grad is None
    assert generated.grad is not None
    assert generated.grad[0].tolist() == pytest.approx([0.25, -0.25])
    # At temperature 2 the shares are 1 : √3.
    share = 1 / (1 + math.sqrt(3))
    softened = softened_divergence(target, generated, 2.0).item()
    assert softened == pytest.approx(share * math.log(2 * share) + (1 - share) * math.log(2 * (1 - share)), rel=1e-5)


def test_means_are_over_kept_tokens() -> None:
    values, keep = torch.tensor([[2.0, 4.0, 9.0], [1.0, 1.0, 1.0]]), torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    assert kept_mean(values, keep).tolist() == [3.0, 0.0]


def test_shares_of_tokens_that_lie_across_cells() -> None:
    # The left half, and the upper right quarter of the picture.
    boxes = torch.tensor([[0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 0.5]])
    assert grid_shares(boxes, 1).tolist() == [[pytest.approx(2 / 3), pytest.approx(1 / 3)]]
    # Row by row: upper left, upper right, lower left, and a lower right cell that no token covers.
    assert grid_shares(boxes, 2).tolist() == [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]


@given(st.lists(st.tuples(*[st.integers(0, 15)] * 4), max_size=6), st.integers(1, 4))
def test_shares_sum_to_one_and_are_those_of_plain_loops(corners: list[tuple[int, ...]], grid: int) -> None:
    whole = (0.0, 0.0, 1.0, 1.0)
    boxes = [whole, *((x / 16, y / 16, (x + w % 4 + 1) / 16, (y + h % 4 + 1) / 16) for x, y, w, h in corners)]
    shares = grid_shares(torch.tensor(boxes, dtype=torch.float64), grid)
    assert shares.shape == (grid * grid, len(boxes))
    assert shares.sum(dim=1).tolist() == pytest.approx([1.0] * (grid * grid))
    for cell in range(grid * grid):
        row, column = divmod(cell, grid)
        areas = []
        for x0, y0, x1, y1 in boxes:
            across = min(x1, (column + 1) / grid) - max(x0, column / grid)
            down = min(y1, (row + 1) / grid) - max(y0, row / grid)
            areas.append(max(0.0, across) * max(0.0, down))
        assert shares[cell].tolist() == pytest.approx([area / sum(areas) for area in areas])
