"""Operations on states: gathering, averaging, and precision."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from instruct_mner.alignment.objective import AlignmentBatch, View
from instruct_mner.alignment.sample_tokens import SampleTokens


def wide(values: Tensor) -> Tensor:
    """Return values in float32 or wider: sums and logarithms in bfloat16 are too coarse."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def nothing(batch: AlignmentBatch) -> Tensor:
    """Return a loss of zero that is still part of the graph, for an objective without inputs in this batch."""
    return batch.states.sum() * 0


def image_tokens(row: SampleTokens) -> int:
    """Return the number of image tokens of a post."""
    return 0 if row.image_boxes is None else len(row.image_boxes)


def image_mask(view: View, image_token_id: int) -> Tensor:
    """Return the mask of image tokens, ``(batch, tokens)``."""
    return view.inputs["input_ids"] == image_token_id


def masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over the tokens of a mask, ``(batch, width)``; zeros where the mask is empty.

    Args:
        states: States, ``(batch, tokens, width)``.
        mask: Mask, ``(batch, tokens)``.
    """
    share = mask.to(wide(states).dtype)
    share = share / share.sum(dim=1, keepdim=True).clamp(min=1)
    return torch.bmm(share[:, None], wide(states))[:, 0]


def span_mask(spans: Sequence[tuple[int, int] | None], num_tokens: int, device: torch.device) -> Tensor:
    """Return the mask of spans, ``(batch, tokens)``, from first to last token of each; ``None`` is empty."""
    ends = torch.tensor([(0, -1) if span is None else span for span in spans], device=device)
    at = torch.arange(num_tokens, device=device)
    return (at >= ends[:, :1]) & (at <= ends[:, 1:])


def gathered(states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the states of a mask's tokens without gaps, in their order.

    Args:
        states: States, ``(batch, tokens, width)``.
        mask: Mask, ``(batch, tokens)``.

    Returns:
        States, ``(batch, most, width)``, zeros after a row's own, and the mask of its own, ``(batch, most)``.
    """
    counts = mask.sum(dim=1)
    most = int(counts.max())
    at = torch.arange(most, device=mask.device)
    own = at < counts[:, None]
    moved = states.new_zeros(len(states), most, states.shape[-1])
    return moved.masked_scatter(own[..., None], states[mask]), own


def log_mass(scores: Tensor, chosen: Tensor) -> Tensor:
    """Return the logarithm of the attention on some tokens, ``(...,)``; see :func:`log_sum` for rows without any.

    Args:
        scores: Scores before the softmax, ``(..., tokens)``; at least one of each row is finite.
        chosen: Mask of these tokens, ``(..., tokens)``.
    """
    return log_sum(scores.masked_fill(~chosen, float("-inf"))) - torch.logsumexp(scores, dim=-1)


def log_sum(values: Tensor) -> Tensor:
    """Return the logarithm of the sum of exponentials over the last dimension.

    A row of ``-inf`` alone gives ``-inf`` without a gradient; that of ``torch.logsumexp`` would be NaN.
    """
    empty = (values == float("-inf")).all(dim=-1)
    summed = torch.logsumexp(values.masked_fill(empty[..., None], 0.0), dim=-1)
    return summed.masked_fill(empty, float("-inf"))
