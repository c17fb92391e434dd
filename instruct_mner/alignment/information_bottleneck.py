"""SMNER's global alignment: a cross-modal information bottleneck between the whole picture and the whole text.

Source: SMNER, An Effective Span-based Multimodal Named Entity Recognition with Consistent Cross-Modal Alignment,
LREC-COLING 2024, https://pure.bit.edu.cn/en/publications/an-effective-span-based-multimodal-named-entity-recognition-with-.
``-I_JSD(v; t)`` keeps the information that picture and text share, ``KL(N_v ‖ N_t)`` drops the rest of the picture. The
divergence is the closed form of diagonal Gaussians: the density-weighted estimate of the public code
under- and overflows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, distributed, nn
from torch.nn.functional import softplus

from instruct_mner.alignment.objective import AlignmentBatch, Needs
from instruct_mner.alignment.pooling import image_mask, masked_mean, nothing, span_mask, wide
from instruct_mner.alignment.seeded_noise import noise
from instruct_mner.alignment.settings import InformationBottleneckSettings

# Value of the estimate where pictures and texts cannot be distinguished (all scores 0); `mi` counts from there.
CHANCE = -2 * math.log(2)
# Of at most 2 log 2 = 1.39. Heads on independent states stay below it.
COLLAPSED_BELOW = 0.05
# Number of forwards before a collapse is reported: heads begin at chance.
PATIENCE = 100
_DECAY = 0.98


def mutual_information(paired: Tensor, unpaired: Tensor) -> Tensor:
    """Return the Jensen-Shannon estimate ``E[-softplus(-paired)] - E[softplus(unpaired)]``."""
    return -softplus(-paired).mean() - softplus(unpaired).mean()


def gaussian_divergence(mean: Tensor, deviation: Tensor, other_mean: Tensor, other_deviation: Tensor) -> Tensor:
    """Return ``KL(N ‖ other)`` of diagonal Gaussians, summed over the last dimension."""
    ratio = (deviation / other_deviation).square()
    shift = ((mean - other_mean) / other_deviation).square()
    return 0.5 * (ratio + shift - 1 - ratio.log()).sum(dim=-1)


class Gaussian(nn.Module):
    """Mean and deviation of a pooled state: an MLP of d, d, 2 · width; deviations by softplus.

    Args:
        features: Number of features of the pooled state, d.
        width: Width of the distribution.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features, elementwise_affine=False)
        self.hidden = nn.Linear(features, features)
        self.out = nn.Linear(features, 2 * width)
        # Deviations begin at 0.05: at 0.7, where a bias of 0 begins, the noise drowns the means, and on made-up pairs
        # of eight kinds the estimate left chance after 200 steps or never, instead of after 50.
        nn.init.constant_(self.out.bias[width:], -3.0)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and deviation, ``(..., width)`` each."""
        mean, spread = self.out(self.hidden(self.norm(pooled)).relu()).chunk(2, dim=-1)
        return mean, softplus(spread) + 1e-7


class InformationBottleneck(nn.Module):
    """``-mutual_information · I_JSD(v; t) + divergence · KL(N_v ‖ N_t)``.

    Negatives are the other pictures of the batch, those of other processes, and a store of earlier ones, the last two
    without gradient, so that batches of one post work.

    Args:
        settings: Weights of the two terms, width and size of the store.
        layer: Number of layers before the states.
        width: Width of the decoder's states.
        image_token_id: Id of an image token.
    """

    name = "information_bottleneck"

    def __init__(self, settings: InformationBottleneckSettings, layer: int, width: int, image_token_id: int) -> None:
        super().__init__()
        self.weight = settings.weight
        self.warmup_steps = settings.warmup_steps
        self.needs = Needs(rows=True, layers=(layer,), text_view=True, text_layers=(layer,))
        self._settings = settings
        self._layer = layer
        self._image_token_id = image_token_id
        own = settings.width
        self.picture = Gaussian(width, own)
        self.text = Gaussian(width, own)
        self.critic = nn.Sequential(
            nn.Linear(2 * own, own), nn.ReLU(), nn.Linear(own, own), nn.ReLU(), nn.Linear(own, 1)
        )
        self.register_buffer("store", torch.zeros(settings.store, width))
        self.register_buffer("stored", torch.zeros((), dtype=torch.long))
        self.register_buffer("average", torch.zeros(()))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def sample_pictures(self, batch: AlignmentBatch) -> Tensor:
        """Return ``v`` of every post, ``(batch, width)``, the same sample as in the loss."""
        mean, deviation = self.picture(self._pooled_pictures(batch))
        keys = [row.key for row in batch.image.rows]
        return mean + deviation * noise(keys, "picture", mean.shape[1:], mean.device).to(mean)  # type: ignore[no-any-return]

    def forward(self, batch: AlignmentBatch) -> tuple[Tensor, Mapping[str, float]]:
        """Return loss and metrics; see :class:`~instruct_mner.alignment.objective.Objective`."""
        pooled = self._pooled_pictures(batch)
        has_picture = image_mask(batch.image, self._image_token_id).any(dim=1)
        others = self._of_other_processes(pooled, has_picture)
        earlier = torch.cat([others, self._earlier().to(pooled)])
        loss, metrics = nothing(batch), dict[str, float]()
        if batch.text is not None:
            usable = [
                (number, row)
                for number, row in enumerate(batch.origin)
                if batch.text.rows[number].post is not None and bool(has_picture[row])
            ]
            if usable:
                loss, metrics = self._loss(batch, pooled, usable, earlier)
                loss = loss * len(usable) / len(batch.states)
        self._remember(torch.cat([pooled[has_picture], others]).detach())
        return loss, metrics

    def _loss(
        self, batch: AlignmentBatch, pooled: Tensor, usable: list[tuple[int, int]], earlier: Tensor
    ) -> tuple[Tensor, dict[str, float]]:
        assert batch.text is not None
        keys = [batch.image.rows[row].key for _, row in usable]
        states = batch.text.layers[self._layer]
        spans = [batch.text.rows[number].post for number, _ in usable]
        chosen = states[[number for number, _ in usable]]
        read = masked_mean(chosen, span_mask(spans, states.shape[1], states.device)).to(pooled)
        v = self.picture(pooled[[row for _, row in usable]])
        t = self.text(read)
        picture = v[0] + v[1] * noise(keys, "picture", v[0].shape[1:], states.device).to(pooled)
        text = t[0] + t[1] * noise(keys, "text", t[0].shape[1:], states.device).to(pooled)
        kl = gaussian_divergence(*v, *t).mean()
        loss = self._settings.divergence * kl
        metrics = {"kl": kl.item()}
        unpaired = self._unpaired(picture, text, earlier, keys[0])
        metrics["negatives"] = float(unpaired.shape[-1])
        if unpaired.numel():
            paired = self.critic(torch.cat([picture, text], dim=-1))
            information = mutual_information(paired, unpaired)
            loss = loss - self._settings.mutual_information * information
            metrics |= {"mi": information.item() - CHANCE, "kl_shuffled": self._shuffled(v, t, earlier)}
            metrics["collapsed"] = float(self._is_collapsed(metrics["mi"]))
        return loss, metrics

    def _unpaired(self, picture: Tensor, text: Tensor, earlier: Tensor, key: str) -> Tensor:
        """Return the scores of every text with every picture of other posts, ``(texts, pictures)``."""
        count = len(text)
        pictures = picture
        if len(earlier):
            mean, deviation = self.picture(earlier)
            drawn = noise([key], "earlier", mean.shape, mean.device)[0].to(mean)
            pictures = torch.cat([picture, mean + deviation * drawn])
        pairs = torch.cat(
            [pictures.expand(count, *pictures.shape), text[:, None].expand(-1, len(pictures), -1)], dim=-1
        )
        scores = self.critic(pairs)[..., 0]
        own = torch.eye(count, len(pictures), dtype=torch.bool, device=scores.device)
        return scores[~own].view(count, len(pictures) - 1)  # type: ignore[no-any-return]

    @torch.no_grad()
    def _shuffled(self, v: tuple[Tensor, Tensor], t: tuple[Tensor, Tensor], earlier: Tensor) -> float:
        """Return the divergence with pictures of other posts."""
        if len(v[0]) > 1:
            return gaussian_divergence(v[0].roll(1, 0), v[1].roll(1, 0), *t).mean().item()
        mean, deviation = self.picture(earlier)
        return gaussian_divergence(mean, deviation, *t).mean().item()

    def _pooled_pictures(self, batch: AlignmentBatch) -> Tensor:
        states = batch.image.layers[self._layer]
        pooled = masked_mean(states, image_mask(batch.image, self._image_token_id))
        return pooled.to(self.picture.out.weight.dtype)

    def _of_other_processes(self, pooled: Tensor, has_picture: Tensor) -> Tensor:
        """Return the pictures of the other processes of a launch, without gradient; all processes must call it."""
        if not distributed.is_available() or not distributed.is_initialized() or distributed.get_world_size() == 1:
            return pooled.new_zeros(0, pooled.shape[1])
        mine = torch.cat([wide(pooled.detach()), has_picture[:, None].to(pooled)], dim=1)
        gathered = [torch.empty_like(mine) for _ in range(distributed.get_world_size())]
        distributed.all_gather(gathered, mine)
        others = torch.cat([each for rank, each in enumerate(gathered) if rank != distributed.get_rank()])
        return others[others[:, -1] > 0, :-1]

    def _earlier(self) -> Tensor:
        store = cast("Tensor", self.store)
        return store[: min(int(cast("Tensor", self.stored)), len(store))]

    @torch.no_grad()
    def _remember(self, pooled: Tensor) -> None:
        """Add pictures to the store, first in, first out."""
        store, stored = cast("Tensor", self.store), cast("Tensor", self.stored)
        for each in pooled if len(store) else ():
            store[int(stored) % len(store)] = each
            stored += 1

    @torch.no_grad()
    def _is_collapsed(self, information: float) -> bool:
        """Return true where the running estimate has stayed at chance."""
        average, seen = cast("Tensor", self.average), cast("Tensor", self.seen)
        seen += 1
        average.mul_(_DECAY).add_((1 - _DECAY) * information)
        unbiased = float(average) / (1 - _DECAY ** int(seen))
        return int(seen) >= PATIENCE and unbiased < COLLAPSED_BELOW
