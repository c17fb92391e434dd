"""Negatives of the bottleneck are pictures of other posts, also where the store is larger than the data."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from instruct_mner.alignment import information_bottleneck
from instruct_mner.alignment.information_bottleneck import InformationBottleneck
from instruct_mner.alignment.objective import AlignmentBatch, View
from instruct_mner.alignment.sample_tokens import SampleTokens
from instruct_mner.alignment.settings import InformationBottleneckSettings

POSTS, WIDTH, STORE = 16, 3, 64
# The last post shows the picture of the first.
PICTURES = [*range(1, POSTS), 1]


def batch_of(chosen: list[int], *, with_hashes: bool) -> AlignmentBatch:
    """Posts whose text has the very state of their picture."""
    states = torch.tensor([[[float(PICTURES[post])] * WIDTH] * 2 for post in chosen])
    rows = tuple(
        SampleTokens(key=f"0/0/{post}", post=(1, 1), picture=PICTURES[post] if with_hashes else 0) for post in chosen
    )
    view = View(
        states=states, inputs={"input_ids": torch.tensor([[99, 1]] * len(chosen))}, rows=rows, layers={1: states}
    )
    return AlignmentBatch(image=view, text=view, origin=tuple(range(len(chosen))))


@pytest.mark.parametrize(("batch", "with_hashes"), [(1, True), (4, True), (1, False), (4, False)])
def test_no_own_picture_is_a_negative_on_sixteen_posts_with_a_store_of_64(
    batch: int, with_hashes: bool, monkeypatch
) -> None:
    """Without hashes the test finds them, so that it can fail."""
    objective: Any = InformationBottleneck(InformationBottleneckSettings(width=WIDTH, store=STORE), 1, WIDTH, 99)
    # Picture and text stay as they are, and the critic says whether they are the same.
    for part in (objective.picture, objective.text):
        monkeypatch.setattr(part, "forward", lambda pooled: (pooled, torch.full_like(pooled, 1e-30)))
    same = lambda pairs: (pairs[..., :WIDTH] == pairs[..., WIDTH:]).all(dim=-1, keepdim=True).float()  # noqa: E731
    monkeypatch.setattr(objective.critic, "forward", same)
    own: list[Tensor] = []
    scores: list[Tensor] = []

    def noted(paired: Tensor, unpaired: Tensor) -> Tensor:
        own.append(paired)
        scores.append(unpaired)
        return paired.mean() + unpaired.mean()

    monkeypatch.setattr(information_bottleneck, "mutual_information", noted)
    draw = torch.Generator().manual_seed(0)
    for _ in range(10):
        order = torch.randperm(POSTS, generator=draw).tolist()
        for start in range(0, POSTS, batch):
            _, metrics = objective(batch_of(order[start : start + batch], with_hashes=with_hashes))
    assert torch.cat(own).min() == 1
    assert bool(torch.cat(scores).any()) is not with_hashes
    assert len(scores[-1]) == metrics["negatives"] * batch
    if with_hashes and batch == 1:
        # Of 64 earlier pictures, about one in 16 is the post's own, and more where two posts show it.
        assert 55 <= metrics["negatives"] < 64


def test_a_store_that_was_saved_without_hashes_is_read() -> None:
    objective: Any = InformationBottleneck(InformationBottleneckSettings(width=WIDTH, store=2), 1, WIDTH, 99)
    before = {name: value for name, value in objective.state_dict().items() if name != "hashes"}
    objective(batch_of([0, 1, 2, 3], with_hashes=True))
    objective.load_state_dict(before)
    assert objective.hashes.tolist() == [0, 0]
