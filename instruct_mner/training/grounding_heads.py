"""Attention heads of a base model that look at what a mention names, found before training.

Supervision of the decoder's attention (``region_span_grounding``, ``through: attention``) asks some heads of two layers
for it. Which of them do so already differs from model to model, and heads that do something else would have to be
taught against what they are for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from instruct_mner.alignment.sample_tokens import SampleTokens
from instruct_mner.alignment.settings import AlignmentSettings, RegionSpanGroundingSettings
from instruct_mner.console import working
from instruct_mner.models.hooks import Captured, attention_of, capture
from instruct_mner.models.loading import LoadedModel
from instruct_mner.models.modes import in_use
from instruct_mner.training.collator import Collator
from instruct_mner.training.span_alignment import SpanAnnotator

NUM_HEADS = 2
"""Number of heads of each layer that are chosen at most."""
# A pair through which the answer sees much less than through the best is for something else.
_LEAST_OF_BEST = 0.5
_POSTS, _POSTS_READ = 32, 1000


@dataclass(frozen=True, kw_only=True)
class GroundingHeads:
    """Heads of two layers, and what of the picture is seen through them in the base model.

    Attributes:
        layer: Layer of the first hop, from 1.
        heads: Heads of that layer, from 0.
        second_layer: Layer of the second hop.
        second_heads: Heads of that layer; each reads what the head beside it has looked at.
        on_boxes: Share of what an answer sees of the picture through the words of its mention that lies on the boxes of
            the mention; mean over mentions.
        by_chance: Share of the picture that these boxes are.
        num_mentions: Number of mentions that were looked at.
    """

    layer: int
    heads: tuple[int, ...]
    second_layer: int
    second_heads: tuple[int, ...]
    on_boxes: float
    by_chance: float
    num_mentions: int


def with_chosen_heads(
    alignment: AlignmentSettings, loaded: LoadedModel, collator: Collator, annotator: SpanAnnotator
) -> tuple[AlignmentSettings, tuple[str, ...]]:
    """Return settings with heads, and a layer where none is set, in place of ``heads: auto``; and a line that says so.

    Args:
        alignment: Section ``alignment`` of the config.
        loaded: Base model, without an adapter.
        collator: Collator of the posts to train on.
        annotator: Finder of mentions and regions in tokens.
    """
    grounding = alignment.region_span_grounding
    if grounding is None or grounding.through != "attention" or grounding.heads != "auto":
        return alignment, ()
    with working("choosing attention heads"):
        found = find_heads(loaded, collator, annotator, grounding)
    if found is None:
        return alignment, ("auto: no mention of the first posts has a box to choose by; heads 0 and 1 are taken",)
    chosen = grounding.model_copy(
        update={
            "layer": found.layer,
            "heads": found.heads,
            "second_layer": found.second_layer,
            "second_heads": found.second_heads,
        }
    )
    line = (
        f"auto: layer {found.layer}, heads {_listed(found.heads)}, read by layer {found.second_layer}, heads "
        f"{_listed(found.second_heads)}: {found.on_boxes:.0%} of what an answer sees of the picture through them lies "
        f"on the mention's boxes, which are {found.by_chance:.0%} of it ({found.num_mentions} mentions)"
    )
    return alignment.model_copy(update={"region_span_grounding": chosen}), (line,)


def _listed(heads: tuple[int, ...]) -> str:
    return ", ".join(map(str, heads))


def find_heads(
    loaded: LoadedModel, collator: Collator, annotator: SpanAnnotator, settings: RegionSpanGroundingSettings
) -> GroundingHeads | None:
    """Return the heads of two layers through which answers see most of the boxes of their mentions, beyond chance.

    A pair of heads is a path, as the objective supervises it: the attention of the first from the words of a mention to
    its boxes, less what would lie there if its attention on the picture were spread evenly, times the attention of the
    second from before the label to these words; the sum over the words, and over the visible mentions of up to 32
    posts. A second pair must have half of what the first has.

    The last token of the mention alone says little of a model that was not taught to look from there: in
    ``starter-135m`` words that locate an object look at it (0.31), its name does not (0.03).

    Args:
        loaded: Base model, without an adapter.
        collator: Collator of the posts; the first 1,000 are searched for boxes.
        annotator: Finder of mentions and regions in tokens.
        settings: Settings of the objective. Layers that they name are kept; else all pairs of layers are compared.
    """
    last = len(loaded.decoder.layers)
    places = [each for each in range(last) if attention_of(loaded.decoder, each) is not None]
    firsts = [each for each in places if settings.layer in {None, each + 1}]
    seconds = [each for each in places if settings.second_layer in {None, each + 1}]
    pairs = [(first, second) for first in firsts for second in seconds if first < second]
    if not pairs:
        return None
    paths = _measured(loaded, collator, annotator, settings.around == "neighbours", firsts, seconds)
    if paths is None:
        return None
    beyond = paths.on_boxes - paths.by_chance
    # Less than a hundredth of the largest is chance on so few posts, and the first of equals is taken.
    beyond = (beyond / beyond.max().clamp(min=1e-12)).round(decimals=2)
    chosen = [
        (*_best_heads(beyond[firsts.index(first), :, seconds.index(second)]), first, second) for first, second in pairs
    ]
    _, heads, second_heads, first, second = max(chosen, key=lambda each: each[0])
    at = firsts.index(first), list(heads), seconds.index(second), list(second_heads)
    return GroundingHeads(
        layer=first + 1,
        heads=heads,
        second_layer=second + 1,
        second_heads=second_heads,
        on_boxes=float(paths.on_boxes[at].sum() / paths.on_picture[at].sum().clamp(min=1e-12)),
        by_chance=sum(paths.areas) / len(paths.areas),
        num_mentions=len(paths.areas),
    )


def _best_heads(paths: Tensor) -> tuple[float, tuple[int, ...], tuple[int, ...]]:
    """Return the sum of the largest paths, each of heads of their own, and these heads: ``(heads, heads)``."""
    left, total = paths.clone(), 0.0
    chosen = list[tuple[int, int]]()
    for _ in range(min(NUM_HEADS, *paths.shape)):
        place = int(left.argmax())
        head, reader = divmod(place, paths.shape[1])
        if chosen and left[head, reader] < _LEAST_OF_BEST * paths.max():
            break
        total += float(left[head, reader])
        left[head], left[:, reader] = float("-inf"), float("-inf")
        chosen.append((head, reader))
    chosen.sort()
    return total, tuple(head for head, _ in chosen), tuple(reader for _, reader in chosen)


class _Paths(NamedTuple):
    """Attention that arrives through pairs of heads, sums over mentions: ``(layers, heads, layers, heads)``.

    Attributes:
        on_boxes: Attention that arrives at the boxes of the mention.
        on_picture: Attention that arrives at the picture.
        by_chance: Attention that would arrive at the boxes if that on the picture were spread evenly.
        areas: Share of the picture that the boxes of each mention are.
    """

    on_boxes: Tensor
    on_picture: Tensor
    by_chance: Tensor
    areas: list[float]


def _measured(
    loaded: LoadedModel,
    collator: Collator,
    annotator: SpanAnnotator,
    neighbours: bool,
    firsts: Sequence[int],
    seconds: Sequence[int],
) -> _Paths | None:
    layers = sorted({*firsts, *seconds})
    num_heads = loaded.model.config.get_text_config().num_attention_heads
    # Sums, since a model of 80 layers of 64 heads has 100 MB of pairs.
    on_boxes, on_picture, by_chance = torch.zeros(3, len(firsts), num_heads, len(seconds), num_heads)
    areas = list[float]()
    with in_use(loaded.base), torch.no_grad():
        for inputs, row in _posts(loaded, collator, annotator):
            with capture(loaded.decoder, attention_layers=layers) as captured:
                loaded.base.model(**inputs, use_cache=False)
            mask = inputs["attention_mask"][0]
            image = (inputs["input_ids"][0] == loaded.image_token_id).nonzero()[:, 0].cpu()
            for mention in row.mentions:
                if not mention.regions:
                    continue
                first, last = row.around(mention) if neighbours else (mention.span[1], mention.span[1])
                looked = _weights(captured, firsts, range(first, last + 1), mask)[..., image]
                read = _weights(captured, seconds, [mention.label[0] - 1], mask)[:, :, 0, first : last + 1]
                areas.append(len(mention.regions) / len(image))
                on_boxes += torch.einsum("phw,qgw->phqg", looked[..., list(mention.regions)].sum(dim=-1), read)
                seen = torch.einsum("phw,qgw->phqg", looked.sum(dim=-1), read)
                on_picture += seen
                by_chance += seen * areas[-1]
    return _Paths(on_boxes=on_boxes, on_picture=on_picture, by_chance=by_chance, areas=areas) if areas else None


def _weights(captured: Captured, layers: Sequence[int], rows: Sequence[int], mask: Tensor) -> Tensor:
    """Return attention of all heads of some layers, ``(layers, heads, rows, tokens)``; they may lie on several GPUs."""
    each = [captured.attention[layer] for layer in layers]
    scores = [part.scores(0, rows, range(part.query.shape[1]), mask).float() for part in each]
    return torch.stack([part.softmax(dim=-1).cpu() for part in scores])


def _posts(
    loaded: LoadedModel, collator: Collator, annotator: SpanAnnotator
) -> Iterator[tuple[dict[str, Tensor], SampleTokens]]:
    """Yield the inputs and tokens of posts that have a mention with a box."""
    found = 0
    for index in collator.with_boxes(_POSTS_READ):
        samples, batch = collator.collated([{"index": index}])
        [row] = annotator.rows(samples, batch)
        if any(mention.regions for mention in row.mentions):
            yield {name: value.to(loaded.model.device) for name, value in batch.items() if name != "labels"}, row
            found += 1
        if found == _POSTS:
            return
