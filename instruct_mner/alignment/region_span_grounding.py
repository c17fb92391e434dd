"""SMNER's local alignment: each mention attends to the regions of the picture that show it.

Source: SMNER, An Effective Span-based Multimodal Named Entity Recognition with Consistent Cross-Modal Alignment,
LREC-COLING 2024, https://pure.bit.edu.cn/en/publications/an-effective-span-based-multimodal-named-entity-recognition-with-.
``attention_grounding`` does it through the decoder's own attention instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from instruct_mner.alignment.objective import AlignmentBatch, Needs
from instruct_mner.alignment.pooling import gathered, image_mask, image_tokens, log_mass, nothing
from instruct_mner.alignment.sample_tokens import SampleTokens
from instruct_mner.alignment.seeded_noise import chance
from instruct_mner.alignment.settings import RegionSpanGroundingSettings

# Weight of a span that is no entity in the loss of types. Source: SMNER.
_NONE_WEIGHT = 0.5


@dataclass(frozen=True)
class Spans:
    """Spans of the posts of a batch, padded.

    Attributes:
        first: First token of each span, ``(batch, spans)``.
        last: Last token of each span, ``(batch, spans)``.
        words: Number of words of each span, less one, ``(batch, spans)``.
        type: Type of each span, ``(batch, spans)``; the number of types for a span that is no entity, -1 for padding.
    """

    first: Tensor
    last: Tensor
    words: Tensor
    type: Tensor


class HeadGrounding(nn.Module):
    """Cross-attention from spans to the picture, beside the decoder, with a classification of the spans.

    Keys are the image tokens, a learned null key, and the bottleneck's sampled ``v`` where it is on. Loss of types;
    ``-log`` of the attention on the regions of a mention, or on the null key where it is not visible; and, where boxes
    are not annotated, a contrast of a mention with its own picture against the others of the batch, but for those that
    are the same picture.

    Args:
        settings: Weight and shape.
        layer: Number of layers before the states.
        width: Width of the decoder's states.
        num_types: Number of entity types of the run.
        image_token_id: Id of an image token.
        global_key: Function that samples ``v``, ``(batch, features)``, and its number of features; ``None`` where the
            bottleneck is off.
    """

    name = "region_span_grounding"

    def __init__(
        self,
        settings: RegionSpanGroundingSettings,
        layer: int,
        width: int,
        num_types: int,
        image_token_id: int,
        global_key: tuple[Callable[[AlignmentBatch], Tensor], int] | None = None,
    ) -> None:
        super().__init__()
        self.weight = settings.weight
        self.warmup_steps = settings.warmup_steps
        self.needs = Needs(rows=True, layers=(layer,))
        self._settings = settings
        self._layer = layer
        self._image_token_id = image_token_id
        self._num_types = num_types
        own = settings.width
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        # The longest gold of the published sets has 9 words; what is longer shares the last row.
        self.num_words = nn.Embedding(settings.longest + 4, own)
        self.query = nn.Linear(2 * width + own, own)
        self.key, self.value = nn.Linear(width, own), nn.Linear(width, own)
        self.null_key, self.null_value = (nn.Parameter(0.02 * torch.randn(own)) for _ in range(2))
        self.classify = nn.Sequential(nn.Linear(2 * own, own), nn.ReLU(), nn.Linear(own, num_types + 1))
        self._sample = None if global_key is None else global_key[0]
        if global_key is not None:
            self.global_key, self.global_value = (nn.Linear(global_key[1], own) for _ in range(2))

    def forward(self, batch: AlignmentBatch) -> tuple[Tensor, Mapping[str, float]]:
        """Return loss and metrics; see :class:`~instruct_mner.alignment.objective.Objective`."""
        rows = batch.image.rows
        spans = self._spans(rows, batch.states.device)
        if spans is None:
            return nothing(batch), {}
        queries = self.queries(batch, spans)
        keys, values, own = self.keys(batch)
        scores = torch.einsum("bsw,bkw->bsk", queries, keys) / queries.shape[-1] ** 0.5
        scores = scores.masked_fill(~own[:, None], float("-inf"))
        attended = scores.softmax(dim=-1) @ values
        loss, metrics = self._type_loss(queries, attended, spans)
        regions = self._region_loss(rows, scores)
        contrast = self._contrast(rows, queries, keys, own)
        for name, (each, metric) in {"region": regions, "contrast": contrast}.items():
            if each is not None:
                loss = loss + each
                metrics[f"{name}_loss"] = each.item()
                metrics |= metric
        return loss, metrics

    def attention(self, batch: AlignmentBatch) -> Tensor:
        """Return the attention of each mention on the image tokens, ``(batch, mentions, image_tokens)``."""
        spans = self._spans(batch.image.rows, batch.states.device)
        assert spans is not None
        keys, _, own = self.keys(batch)
        scores = torch.einsum("bsw,bkw->bsk", self.queries(batch, spans), keys) / keys.shape[-1] ** 0.5
        return scores.masked_fill(~own[:, None], float("-inf")).softmax(dim=-1)[..., self._before :]  # type: ignore[no-any-return]

    def queries(self, batch: AlignmentBatch, spans: Spans) -> Tensor:
        """Return the queries of spans, ``(batch, spans, width)``."""
        states = self._states(batch)
        at = torch.arange(len(states), device=states.device)[:, None]
        ends = torch.cat([states[at, spans.first], states[at, spans.last]], dim=-1)
        long = spans.words.clamp(max=self.num_words.num_embeddings - 1)
        return self.query(torch.cat([ends, self.num_words(long)], dim=-1))  # type: ignore[no-any-return]

    def keys(self, batch: AlignmentBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Return the keys: the null key, ``v`` where it is on, the image tokens.

        Returns:
            Keys and values, ``(batch, keys, width)``, and the mask of existing keys, ``(batch, keys)``.
        """
        tokens, own = gathered(self._states(batch), image_mask(batch.image, self._image_token_id))
        keys, values = [self.null_key.expand(len(tokens), 1, -1)], [self.null_value.expand(len(tokens), 1, -1)]
        has = [torch.ones_like(own[:, :1]) if own.shape[1] else own.new_ones(len(own), 1)]
        if self._sample is not None:
            sample = self._sample(batch).to(tokens)
            keys.append(self.global_key(sample)[:, None])
            values.append(self.global_value(sample)[:, None])
            has.append(own.any(dim=1, keepdim=True))
        return (
            torch.cat([*keys, self.key(tokens)], dim=1),
            torch.cat([*values, self.value(tokens)], dim=1),
            torch.cat([*has, own], dim=1),
        )

    def _states(self, batch: AlignmentBatch) -> Tensor:
        return self.norm(batch.image.layers[self._layer].to(self.null_key.dtype))  # type: ignore[no-any-return]

    @property
    def _before(self) -> int:
        """Number of keys before the image tokens."""
        return 1 + (self._sample is not None)

    def _spans(self, rows: Sequence[SampleTokens], device: torch.device) -> Spans | None:
        """Return the mentions, then spans that are no entity; ``None`` where no post has any."""
        spans = [[*_gold(row), *self._negatives(row)] for row in rows]
        most = max(map(len, spans))
        if not most:
            return None
        padded = torch.tensor([each + [(0, 0, 0, -1)] * (most - len(each)) for each in spans], device=device)
        return Spans(*padded.unbind(dim=-1))

    def _negatives(self, row: SampleTokens) -> list[tuple[int, int, int, int]]:
        gold = {*row.left_out, *(mention.words for mention in row.mentions)}
        draw, spans = chance(row.key, "spans"), []
        for _ in range(self._settings.negatives if row.words else 0):
            first = draw.randrange(len(row.words))
            last = draw.randrange(first, min(len(row.words), first + self._settings.longest))
            if (first, last) not in gold:
                spans.append((row.words[first][0], row.words[last][1], last - first, self._num_types))
        return spans

    def _type_loss(self, queries: Tensor, attended: Tensor, spans: Spans) -> tuple[Tensor, dict[str, float]]:
        logits = self.classify(torch.cat([queries, attended], dim=-1))
        real, entity = spans.type >= 0, (spans.type >= 0) & (spans.type < self._num_types)
        weights = real.to(logits) * torch.where(entity, 1.0, _NONE_WEIGHT).to(logits)
        each = nn.functional.cross_entropy(logits.flatten(0, 1), spans.type.clamp(min=0).flatten(), reduction="none")
        loss = ((each.view_as(weights) * weights).sum(1) / weights.sum(1).clamp(min=_NONE_WEIGHT)).mean()
        right = (logits.argmax(-1) == spans.type) & entity
        accuracy = {"type_accuracy": (right.sum() / entity.sum()).item()} if entity.any() else {}
        return loss, {"type_loss": loss.item(), **accuracy}

    def _region_loss(self, rows: Sequence[SampleTokens], scores: Tensor) -> tuple[Tensor | None, dict[str, float]]:
        losses, masses = [], []
        for number, row in enumerate(rows):
            annotated = [(index, mention) for index, mention in enumerate(row.mentions) if mention.regions is not None]
            if not annotated or not image_tokens(row):
                continue
            chosen = torch.zeros(len(annotated), scores.shape[-1], dtype=torch.bool, device=scores.device)
            for line, (_, mention) in enumerate(annotated):
                assert mention.regions is not None
                chosen[line, [self._before + region for region in mention.regions] or [0]] = True
            mass = log_mass(scores[number, [index for index, _ in annotated]], chosen)
            losses.append(-mass.mean())
            masses.append(mass.detach().exp().mean())
        if not losses:
            return None, {}
        return torch.stack(losses).sum() / len(rows), {"region_attention": torch.stack(masses).mean().item()}

    def _contrast(
        self, rows: Sequence[SampleTokens], queries: Tensor, keys: Tensor, own: Tensor
    ) -> tuple[Tensor | None, dict[str, float]]:
        """Return the contrast of mentions without annotated boxes with the pictures of the batch."""
        with_picture = [number for number, row in enumerate(rows) if image_tokens(row)]
        pairs = [
            (number, index)
            for number in with_picture
            for index, mention in enumerate(rows[number].mentions)
            if mention.regions is None
        ]
        if not pairs or len(with_picture) < 2:
            return None, {}
        look = queries[[number for number, _ in pairs], [index for _, index in pairs]]
        tokens, has = keys[with_picture, self._before :], own[with_picture, self._before :]
        scores = torch.einsum("sw,pkw->spk", look, tokens) / look.shape[-1] ** 0.5
        scores = scores.masked_fill(~has, float("-inf")).logsumexp(-1) - has.sum(-1).to(scores).log()
        target = torch.tensor([with_picture.index(number) for number, _ in pairs], device=scores.device)
        hashes = torch.tensor([rows[number].picture for number in with_picture], device=scores.device)
        reposted = (hashes == hashes[target][:, None]) & (hashes != 0)
        reposted[torch.arange(len(target)), target] = False
        scores = scores.masked_fill(reposted, float("-inf"))
        each = nn.functional.cross_entropy(scores, target, reduction="none")
        shares = [1 / (sum(number == other for other, _ in pairs) * len(rows)) for number, _ in pairs]
        accuracy = (scores.argmax(-1) == target).double().mean().item()
        return (each * torch.tensor(shares).to(each)).sum(), {"contrast_accuracy": accuracy}


def _gold(row: SampleTokens) -> list[tuple[int, int, int, int]]:
    return [(*mention.span, mention.words[1] - mention.words[0], mention.type) for mention in row.mentions]
