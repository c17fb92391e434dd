"""A made-up batch of two posts in double precision, whose states are leaves that gradients arrive at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from instruct_mner.alignment.objective import AlignmentBatch, View
from instruct_mner.alignment.sample_tokens import MentionTokens, SampleTokens
from instruct_mner.models.hooks import AttentionInputs
from instruct_mner.models.image_token_boxes import cells

WIDTH, TOKENS, IMAGE = 6, 14, 99


@dataclass
class MadeUp:
    """The batch, and what its losses must move."""

    batch: AlignmentBatch
    leaves: dict[str, Tensor]


def mention(type_: int, span: tuple[int, int], words: tuple[int, int], label: int, regions: Any) -> MentionTokens:
    return MentionTokens(
        type=type_, span=span, words=words, label=(label, label), written=(label + 1, label + 1), regions=regions
    )


def rows_of(annotated: bool) -> tuple[SampleTokens, ...]:
    """A post with a visible, an invisible and no further mention, and one with one of many words."""
    first = SampleTokens(
        key="0/0/a",
        post=(5, 8),
        words=((5, 5), (6, 7), (8, 8)),
        mentions=(
            mention(0, (6, 7), (1, 1), 10, (1, 3) if annotated else None),
            mention(2, (8, 8), (2, 2), 12, () if annotated else None),
        ),
        content=(10, 11, 12, 13),
        image_boxes=cells(2, 2),
    )
    second = SampleTokens(
        key="0/0/b",
        post=(5, 9),
        words=((5, 6), (7, 9)),
        mentions=(mention(1, (5, 9), (0, 1), 11, (0,) if annotated else None),),
        content=(11, 12),
        image_boxes=cells(2, 1),
    )
    return first, second


def made_up(*, annotated: bool = True, layers: tuple[int, ...] = (1,)) -> MadeUp:
    """Two posts: image tokens from 1 on, four and two of them; the text view begins three tokens earlier."""
    draw = torch.Generator().manual_seed(0)

    def leaf(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64).requires_grad_()

    ids = torch.randint(0, 9, (2, TOKENS), generator=draw)
    ids[0, 1:5], ids[1, 1:3] = IMAGE, IMAGE
    mask = torch.ones(2, TOKENS, dtype=torch.long)
    mask[1, 13:] = 0
    labels = torch.full_like(ids, -100)
    labels[0, 10:], labels[1, 11:13] = ids[0, 10:], ids[1, 11:13]
    rows = rows_of(annotated)
    leaves = {"states": leaf(2, TOKENS, WIDTH), "text": leaf(2, TOKENS, WIDTH), "embedding": leaf(9, WIDTH)}
    leaves |= {f"image/{layer}": leaf(2, TOKENS, WIDTH) for layer in layers}
    leaves |= {f"text/{layer}": leaf(2, TOKENS, WIDTH) for layer in layers}
    attention = {}
    for layer in (0, 1):
        leaves[f"query/{layer}"], leaves[f"key/{layer}"] = leaf(2, TOKENS, 8), leaf(2, TOKENS, 4)
        attention[layer] = AttentionInputs(
            query=rotated(leaves[f"query/{layer}"]), key=rotated(leaves[f"key/{layer}"]), scaling=2**-0.5
        )
    image = View(
        states=leaves["states"],
        inputs={"input_ids": ids, "attention_mask": mask, "labels": labels},
        rows=rows,
        layers={layer: leaves[f"image/{layer}"] for layer in layers},
        attention=attention,
        picture=torch.randn(2, TOKENS, 2 * WIDTH, generator=draw, dtype=torch.float64),
    )
    text = View(
        states=leaves["text"],
        inputs={"input_ids": ids, "attention_mask": mask, "labels": labels},
        rows=rows,
        layers={layer: leaves[f"text/{layer}"] for layer in layers},
    )
    batch = AlignmentBatch(
        image=image,
        text=text,
        origin=(0, 1),
        output_embedding=lambda states: states @ leaves["embedding"].T,
        num_tokens=5.0,
    )
    return MadeUp(batch, leaves)


def rotated(projected: Tensor) -> Tensor:
    """Heads of width 2, ``(batch, heads, tokens, 2)``, each token turned by its position."""
    angle = torch.arange(TOKENS, dtype=torch.float64)[:, None]
    first, second = projected.view(2, TOKENS, -1, 2).unbind(dim=-1)
    turned = (first * angle.cos() - second * angle.sin(), first * angle.sin() + second * angle.cos())
    return torch.stack(turned, dim=-1).transpose(1, 2)


def agree(objective: Any, made: MadeUp, reference: Any) -> None:
    """The loss and its gradients, as the objective and as plain loops compute them."""
    leaves = [*made.leaves.values(), *(objective.parameters() if isinstance(objective, torch.nn.Module) else ())]

    def gradients(loss: Tensor) -> list[Tensor]:
        return [
            torch.zeros_like(leaf) if found is None else found
            for leaf, found in zip(leaves, torch.autograd.grad(loss, leaves, allow_unused=True), strict=True)
        ]

    found, _ = objective(made.batch)
    expected = reference()
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    assert expected.item() != 0
    for one, other in zip(gradients(found), gradients(expected), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)
