"""The bottleneck tells pictures that share something with their texts from pictures that share nothing."""

from __future__ import annotations

import pytest
import torch

from instruct_mner.alignment.information_bottleneck import PATIENCE, InformationBottleneck
from instruct_mner.alignment.objective import AlignmentBatch, View
from instruct_mner.alignment.sample_tokens import SampleTokens
from instruct_mner.alignment.settings import InformationBottleneckSettings

WIDTH, POSTS = 16, 8


def batch_of(step: int, *, related: bool, drift: float = 0.0) -> AlignmentBatch:
    """Eight posts of one image token and one word: of the same kind out of eight, or with nothing in common.

    States may drift from step to step, as those of a model that is trained do.
    """
    draw = torch.Generator().manual_seed(step)
    kinds = torch.randn(2, 8, WIDTH, generator=torch.Generator().manual_seed(-1))
    chosen = torch.randperm(8, generator=draw)
    other = chosen if related else torch.randperm(8, generator=draw)
    inputs = {"input_ids": torch.tensor([[99, 1]] * POSTS)}
    rows = tuple(SampleTokens(key=f"{step}/{number}", post=(1, 1)) for number in range(POSTS))
    kinds = kinds + drift * step * torch.randn(WIDTH, generator=torch.Generator().manual_seed(-2))
    seen, said = (torch.stack([states, states], dim=1) for states in (kinds[0, chosen], kinds[1, other]))
    return AlignmentBatch(
        image=View(states=seen, inputs=inputs, rows=rows, layers={1: seen}),
        text=View(states=said, inputs=inputs, rows=rows, layers={1: said}),
        origin=tuple(range(POSTS)),
        step=step,
    )


@pytest.mark.parametrize(("related", "drift"), [(True, 0.0), (False, 0.0), (False, 0.05)])
def test_only_unrelated_pictures_are_said_to_have_collapsed(related: bool, drift: float) -> None:
    torch.manual_seed(0)
    settings = InformationBottleneckSettings(width=16, store=64)
    objective = InformationBottleneck(settings, 1, WIDTH, 99)
    optimizer = torch.optim.Adam(objective.parameters(), lr=3e-3)
    flags, metrics = [], {}
    for step in range(2 * PATIENCE):
        loss, metrics = objective(batch_of(step, related=related, drift=drift))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        flags.append(metrics["collapsed"])
    assert flags[: PATIENCE - 1] == [0.0] * (PATIENCE - 1)
    assert flags[-1] == float(not related)
    assert metrics["negatives"] == POSTS - 1
    if related:
        assert metrics["mi"] > 0.3
        assert metrics["kl_shuffled"] > metrics["kl"]
