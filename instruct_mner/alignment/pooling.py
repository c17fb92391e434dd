"""What the objectives do with states: gathering, averaging, and precision."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from instruct_mner.alignment.objective import AlignmentBatch, View
from instruct_mner.alignment.sample_tokens import SampleTokens


def wide(values: Tensor) -> Tensor:
    """At least float32: sums and logarithms of bfloat16 are not to be trusted."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def nothing(batch: AlignmentBatch) -> Tensor:
    """The loss of an objective with nothing to do: zero, and yet part of the graph."""
    return batch.states.sum() * 0


def image_tokens(row: SampleTokens) -> int:
    """How many image tokens a post has."""
    return 0 if row.image_boxes is None else len(row.image_boxes)


def image_mask(view: View, image_token_id: int) -> Tensor:
    """``(batch, tokens)``, true at image tokens."""
    return view.inputs["input_ids"] == image_token_id


def masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """Mean over the tokens of a mask, ``(batch, width)``; zeros where it has none.

    Args:
        states: ``(batch, tokens, width)``.
        mask: ``(batch, tokens)``.
    """
    share = mask.to(wide(states).dtype)
    share = share / share.sum(dim=1, keepdim=True).clamp(min=1)
    return torch.bmm(share[:, None], wide(states))[:, 0]


def span_mask(spans: Sequence[tuple[int, int] | None], num_tokens: int, device: torch.device) -> Tensor:
    """``(batch, tokens)``, true from the first to the last token of each span; ``None`` is empty."""
    ends = torch.tensor([(0, -1) if span is None else span for span in spans], device=device)
    at = torch.arange(num_tokens, device=device)
    return (at >= ends[:, :1]) & (at <= ends[:, 1:])


def gathered(states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The tokens of a mask moved together, in their order.

    Args:
        states: ``(batch, tokens, width)``.
        mask: ``(batch, tokens)``.

    Returns:
        ``(batch, most, width)``, zeros beyond a row's own, and ``(batch, most)``, true at its own.
    """
    counts = mask.sum(dim=1)
    most = int(counts.max())
    at = torch.arange(most, device=mask.device)
    own = at < counts[:, None]
    moved = states.new_zeros(len(states), most, states.shape[-1])
    return moved.masked_scatter(own[..., None], states[mask]), own


def log_mass(scores: Tensor, chosen: Tensor) -> Tensor:
    """Logarithm of the attention on some tokens, ``(...,)``.

    Args:
        scores: ``(..., tokens)``, before the softmax.
        chosen: ``(..., tokens)``, true at these tokens; at least one of each row has a finite score.
    """
    inside = scores.masked_fill(~chosen, float("-inf"))
    return torch.logsumexp(inside, dim=-1) - torch.logsumexp(scores, dim=-1)
