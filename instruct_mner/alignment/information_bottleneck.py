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
from dataclasses import dataclass
from typing import Any, cast

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
_TINY = 1e-9


def mutual_information(paired: Tensor, unpaired: Tensor) -> Tensor:
    """Return the Jensen-Shannon estimate ``E[-softplus(-paired)] - E[softplus(unpaired)]``."""
    return -softplus(-paired).mean() - softplus(unpaired).mean()


def gaussian_divergence(mean: Tensor, deviation: Tensor, other_mean: Tensor, other_deviation: Tensor) -> Tensor:
    """Return ``KL(N ‖ other)`` of diagonal Gaussians by dimension, a mean over the last one."""
    ratio = (deviation / other_deviation).square()
    shift = ((mean - other_mean) / other_deviation).square()
    return 0.5 * (ratio + shift - 1 - ratio.log()).mean(dim=-1)


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Pooled pictures.

    Attributes:
        states: Means of their image tokens, ``(pictures, width)``.
        hashes: Hashes of their files, ``(pictures,)``; 0 where it is not known.
    """

    states: Tensor
    hashes: Tensor

    def __getitem__(self, chosen: Tensor | list[int]) -> Pictures:
        """Return some pictures, by a mask or by their numbers."""
        return Pictures(states=self.states[chosen], hashes=self.hashes[chosen])

    def __add__(self, other: Pictures) -> Pictures:
        """Return these pictures and after them others."""
        states = torch.cat([self.states, other.states.to(self.states)])
        return Pictures(states=states, hashes=torch.cat([self.hashes, other.hashes]))

    def differ_from(self, own: Pictures) -> Tensor:
        """Return the mask of pictures that are not those of some posts, ``(posts, pictures)``.

        A post's own picture may be in the store of earlier ones, and another post may show it as well.
        """
        return (self.hashes != own.hashes[:, None]) | (self.hashes == 0)


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

    Negatives are the other pictures of the batch and, without gradient, those of other processes. Where there are none,
    as in batches of one post, a store of earlier pictures serves. Only there: the states of earlier pictures are those
    of earlier weights, and a critic that tells old from new estimates much mutual information with any text (0.6 on
    shuffled pairs after 25 steps of the starter). A post's own picture is none of its negatives, wherever it is.
    The divergence is a mean over the width: a sum grows with the width, and with a weight that suits a small one the
    heads of a large one give up all information at once.

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
        self.register_buffer("hashes", torch.zeros(settings.store, dtype=torch.long))
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
        hashes = torch.tensor([row.picture for row in batch.image.rows], device=pooled.device)
        pictures = Pictures(states=pooled, hashes=hashes)
        has_picture = image_mask(batch.image, self._image_token_id).any(dim=1)
        others = self._of_other_processes(pictures, has_picture)
        loss, metrics = nothing(batch), dict[str, float]()
        if batch.text is not None:
            usable = [
                (number, row)
                for number, row in enumerate(batch.origin)
                if batch.text.rows[number].post is not None and bool(has_picture[row])
            ]
            if usable:
                loss, metrics = self._loss(batch, pictures, usable, others)
                loss = loss * len(usable) / len(batch.states)
        self._remember(pictures[has_picture] + others)
        return loss, metrics

    def _loss(
        self, batch: AlignmentBatch, pictures: Pictures, usable: list[tuple[int, int]], others: Pictures
    ) -> tuple[Tensor, dict[str, float]]:
        keys = [batch.image.rows[row].key for _, row in usable]
        own = pictures[[row for _, row in usable]]
        further, differ = self._negatives(own, others)
        v = self.picture(own.states)
        t = self.text(self._pooled_texts(batch, [number for number, _ in usable]))
        w = self.picture(further.states)
        text = t[0] + t[1] * noise(keys, "text", t[0].shape[1:], t[0].device).to(t[0])
        picture = v[0] + v[1] * noise(keys, "picture", v[0].shape[1:], v[0].device).to(v[0])
        further_picture = w[0] + w[1] * noise(keys[:1], "further", w[0].shape, w[0].device)[0].to(w[0])
        kl = gaussian_divergence(*v, *t).mean()
        divergence = self._divergence_weight(batch.step) * kl
        metrics = {"kl": kl.item(), "negatives": differ.sum(dim=1).double().mean().item()}
        if not differ.any():
            return divergence, metrics
        scores = self._scores(torch.cat([picture, further_picture]), text)
        information = mutual_information(scores.diagonal(), scores[differ])
        kept = self._settings.mutual_information * information
        metrics["mi"] = information.item() - CHANCE
        metrics["kl_over_mi"] = divergence.item() / max(-kept.item(), _TINY)
        with torch.no_grad():
            mean, deviation = torch.cat([v[0], w[0]]), torch.cat([v[1], w[1]])
            metrics["kl_shuffled"] = (
                gaussian_divergence(mean, deviation, t[0][:, None], t[1][:, None])[differ].mean().item()
            )
        metrics["collapsed"] = float(self._is_collapsed(metrics["mi"]))
        return divergence - kept, metrics

    def _negatives(self, own: Pictures, others: Pictures) -> tuple[Pictures, Tensor]:
        """Return the pictures beside those of some posts, and the mask of all that are negatives, post by post.

        Returns:
            Further pictures, and the mask of own and further ones, ``(posts, pictures)``.
        """
        for further in (others, others + self._earlier()):
            differ = (own + further).differ_from(own)
            # The first columns are the posts themselves.
            differ.diagonal().fill_(False)
            if differ.any():
                break
        return further, differ

    def _divergence_weight(self, step: int) -> float:
        """Return the weight of the divergence, which grows with the square of the step.

        At the beginning scores hardly depend on the pairs, so that the divergence has the larger gradient at a small
        weight too, and an optimizer such as Adam follows it at any weight.
        """
        over = self._settings.divergence_warmup_steps
        return self._settings.divergence * (min(1.0, (step + 1) / over) ** 2 if over else 1.0)

    def _scores(self, pictures: Tensor, texts: Tensor) -> Tensor:
        """Return the scores of every text with every picture, ``(texts, pictures)``."""
        shape = (len(texts), len(pictures), -1)
        pairs = torch.cat([pictures.expand(shape), texts[:, None].expand(shape)], dim=-1)
        return self.critic(pairs)[..., 0]  # type: ignore[no-any-return]

    def _pooled_texts(self, batch: AlignmentBatch, rows: list[int]) -> Tensor:
        assert batch.text is not None
        states = batch.text.layers[self._layer]
        mask = span_mask([batch.text.rows[row].post for row in rows], states.shape[1], states.device)
        return masked_mean(states[rows], mask).to(self.text.out.weight.dtype)

    def _pooled_pictures(self, batch: AlignmentBatch) -> Tensor:
        states = batch.image.layers[self._layer]
        pooled = masked_mean(states, image_mask(batch.image, self._image_token_id))
        return pooled.to(self.picture.out.weight.dtype)

    def _of_other_processes(self, pictures: Pictures, has_picture: Tensor) -> Pictures:
        """Return the pictures of the other processes of a launch, without gradient; all processes must call it."""
        if not distributed.is_available() or not distributed.is_initialized() or distributed.get_world_size() == 1:
            return Pictures(states=pictures.states.detach()[:0], hashes=pictures.hashes[:0])
        here, states, hashes = (
            _of_others(each) for each in (has_picture.long(), wide(pictures.states.detach()), pictures.hashes)
        )
        return Pictures(states=states, hashes=hashes)[here > 0]

    def _earlier(self) -> Pictures:
        store, hashes = cast("Tensor", self.store), cast("Tensor", self.hashes)
        # A copy: the store changes before the backward pass.
        kept = min(int(cast("Tensor", self.stored)), len(store))
        return Pictures(states=store[:kept].clone(), hashes=hashes[:kept].clone())

    @torch.no_grad()
    def _remember(self, pictures: Pictures) -> None:
        """Add pictures to the store, first in, first out."""
        store, hashes, stored = (cast("Tensor", each) for each in (self.store, self.hashes, self.stored))
        for state, number in zip(pictures.states, pictures.hashes, strict=True) if len(store) else ():
            at = int(stored) % len(store)
            store[at], hashes[at] = state, number
            stored += 1

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        # Heads that were saved before pictures had hashes: those in their store are of unknown posts.
        state_dict.setdefault(prefix + "hashes", torch.zeros_like(cast("Tensor", self.hashes)))
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    @torch.no_grad()
    def _is_collapsed(self, information: float) -> bool:
        """Return true where the running estimate has stayed at chance."""
        average, seen = cast("Tensor", self.average), cast("Tensor", self.seen)
        seen += 1
        average.mul_(_DECAY).add_((1 - _DECAY) * information)
        unbiased = float(average) / (1 - _DECAY ** int(seen))
        return int(seen) >= PATIENCE and unbiased < COLLAPSED_BELOW


def _of_others(mine: Tensor) -> Tensor:
    """Return the rows of the other processes of a launch, as many of each as there are here."""
    gathered = [torch.empty_like(mine) for _ in range(distributed.get_world_size())]
    distributed.all_gather(gathered, mine)
    return torch.cat([each for rank, each in enumerate(gathered) if rank != distributed.get_rank()])
