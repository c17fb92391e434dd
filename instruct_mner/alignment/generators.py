"""Parts of bidirectional generation: the sampler that keeps or drops tokens, and the generator of a modality."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from instruct_mner.alignment.seeded_noise import uniform

_TINY = 1e-9


class Sampler(nn.Module):
    """One stage of the context sampler, which keeps or drops each token by a hard straight-through Gumbel-softmax.

    Each stage refines the choice of the one before: the masks are multiplied, with their gradient.

    Args:
        features: Number of features of a token.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.score = nn.Linear(features, 1)
        # Most tokens are kept at first: a token that is never kept gives no gradient.
        nn.init.constant_(self.score.bias, 1.0)

    def forward(self, states: Tensor, before: Tensor, keys: Sequence[str] | None, name: str) -> Tensor:
        """Return the mask of kept tokens, ``(batch, tokens)``, 0 or 1, with a gradient.

        Args:
            states: States of the tokens, ``(batch, tokens, features)``.
            before: Mask of the stage before, ``(batch, tokens)``.
            keys: Keys of the posts' random numbers; ``None`` draws none, as in tagging.
            name: Name of this stage's random numbers.
        """
        score = self.score(states)[..., 0]
        if keys is not None:
            # The difference of two Gumbel variables is logistic, so that one number decides between two classes.
            drawn = uniform(keys, name, states.shape[1:2], states.device).to(score).clamp(_TINY, 1 - 1e-6)
            score = score + drawn.log() - (-drawn).log1p()
        soft = score.sigmoid()
        keep = before * ((soft > 0.5).to(soft) - soft.detach() + soft)
        # A stage that would drop all tokens changes nothing.
        return torch.where((keep > 0.5).any(dim=1, keepdim=True), keep, before)


class Generator(nn.Module):
    """Generator of tokens of one modality from those of the other: learned queries and a transformer decoder layer.

    Args:
        source: Number of features of a source token.
        target: Number of features of a generated token.
        num_queries: Largest number of generated tokens.
        width: Width of the layer.
    """

    def __init__(self, source: int, target: int, num_queries: int, width: int) -> None:
        super().__init__()
        self.read = nn.Sequential(nn.LayerNorm(source), nn.Linear(source, width))
        self.queries = nn.Parameter(0.02 * torch.randn(num_queries, width))
        self.layer = nn.TransformerDecoderLayer(
            width, nhead=4, dim_feedforward=2 * width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.write = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, target))

    def forward(self, source: Tensor, keep: Tensor, own: Tensor, written: Tensor) -> Tensor:
        """Return the generated tokens, ``(batch, generated tokens, target)``.

        Args:
            source: Source tokens, ``(batch, tokens, source)``.
            keep: Mask of the sampler, ``(batch, tokens)``.
            own: Mask of the source tokens, ``(batch, tokens)``; false at padding.
            written: Mask of the generated tokens, ``(batch, generated tokens)``; false at padding.
        """
        read = self.read(source) * keep[..., None]
        queries = self.queries[: written.shape[1]].expand(len(source), -1, -1)
        states = self.layer(queries, read, memory_key_padding_mask=~own, tgt_key_padding_mask=~written)
        return self.write(states)  # type: ignore[no-any-return]


def softened_divergence(target: Tensor, generated: Tensor, temperature: float) -> Tensor:
    """Return ``KL(softmax(target / temperature) ‖ softmax(generated / temperature))`` of each token.

    Args:
        target: Real tokens, which get no gradient.
        generated: Generated tokens.
        temperature: Temperature of both softmaxes.
    """
    wanted = torch.log_softmax(target.detach() / temperature, dim=-1)
    written = torch.log_softmax(generated / temperature, dim=-1)
    return (wanted.exp() * (wanted - written)).sum(dim=-1)


def kept_mean(values: Tensor, keep: Tensor) -> Tensor:
    """Return the mean over kept tokens, ``(batch,)``."""
    return (values * keep).sum(dim=1) / keep.sum(dim=1).clamp(min=1)


def grid_shares(boxes: Tensor, grid: int) -> Tensor:
    """Return the share of each cell of a grid that each image token covers, ``(grid * grid, image_tokens)``.

    The rows sum to 1.

    Args:
        boxes: Boxes of the image tokens, ``(image_tokens, 4)``, in 0..1 of the picture.
        grid: Number of rows and of columns.
    """
    edges = torch.arange(grid + 1, dtype=boxes.dtype, device=boxes.device) / grid

    def overlap(low: Tensor, high: Tensor) -> Tensor:
        return (torch.minimum(high[None], edges[1:, None]) - torch.maximum(low[None], edges[:-1, None])).clamp(min=0)

    across, down = overlap(boxes[:, 0], boxes[:, 2]), overlap(boxes[:, 1], boxes[:, 3])
    shares = (down[:, None] * across[None]).flatten(0, 1)
    return shares / shares.sum(dim=1, keepdim=True).clamp(min=_TINY)
