"""Attention heads of a base model that look at what a mention names, found before training.

Supervision of the decoder's attention (``region_span_grounding``, ``through: attention``) asks some heads of two layers
for it. Which of them do so already differs from model to model, and heads that do something else would have to be
taught against what they are for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from instruct_mner.alignment.sample_tokens import MentionTokens, SampleTokens
from instruct_mner.alignment.settings import AlignmentSettings
from instruct_mner.console import working
from instruct_mner.models.hooks import AttentionInputs, attention_of, capture
from instruct_mner.models.loading import LoadedModel
from instruct_mner.models.modes import in_use
from instruct_mner.training.collator import Collator
from instruct_mner.training.span_alignment import SpanAnnotator

NUM_HEADS = 2
"""Number of heads that are chosen."""
_POSTS, _POSTS_READ = 32, 1000


@dataclass(frozen=True, kw_only=True)
class GroundingHeads:
    """Heads of a layer, and what they attend to in the base model.

    Attributes:
        layer: Layer, from 1.
        heads: Heads, from 0.
        on_boxes: Share of a mention's attention on the picture that lies on its boxes, mean over heads and mentions.
        by_chance: Share of the picture that these boxes are.
        num_mentions: Number of mentions that were looked at.
    """

    layer: int
    heads: tuple[int, ...]
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
        found = find_heads(loaded, collator, annotator, layer=grounding.layer)
    if found is None:
        return alignment, ("auto: no mention of the first posts has a box to choose by; heads 0 and 1 are taken",)
    chosen = grounding.model_copy(update={"layer": found.layer, "heads": found.heads})
    line = (
        f"auto: layer {found.layer}, heads {', '.join(map(str, found.heads))}: {found.on_boxes:.0%} of what a mention "
        f"attends to in the picture lies on its boxes, which are {found.by_chance:.0%} of it ({found.num_mentions} "
        "mentions)"
    )
    return alignment.model_copy(update={"region_span_grounding": chosen}), (line,)


def find_heads(
    loaded: LoadedModel, collator: Collator, annotator: SpanAnnotator, *, layer: int | None = None
) -> GroundingHeads | None:
    """Return the layer and its heads with the most attention from mentions to their boxes, beyond chance.

    The measure of a head is the attention of a mention's last token on its boxes, less what would lie there if the
    head's attention on the picture were spread evenly; a mean over visible mentions of up to 32 posts.

    Args:
        loaded: Base model, without an adapter.
        collator: Collator of the posts; the first 1,000 are searched for boxes.
        annotator: Finder of mentions and regions in tokens.
        layer: Layer, from 1, whose heads are ranked; without one, all but the last are compared.
    """
    decoder = loaded.decoder
    last = len(decoder.layers) - 1
    # The second hop is in the next layer, which must have attention too.
    places = [each for each in range(last) if _attends(loaded, each) and _attends(loaded, each + 1)]
    places = [each for each in places if layer in {None, each + 1}]
    if not places:
        return None
    beyond: dict[int, list[Tensor]] = {place: [] for place in places}
    shares: dict[int, list[Tensor]] = {place: [] for place in places}
    areas: list[float] = []
    with in_use(loaded.base), torch.no_grad():
        for inputs, row in _posts(loaded, collator, annotator):
            with capture(decoder, attention_layers=places) as captured:
                loaded.base.model(**inputs, use_cache=False)
            image = (inputs["input_ids"][0] == loaded.image_token_id).nonzero()[:, 0]
            visible = [mention for mention in row.mentions if mention.regions]
            areas += [len(mention.regions or ()) / len(image) for mention in visible]
            for place in places:
                seen = _seen(captured.attention[place], inputs["attention_mask"][0], image, visible)
                on_boxes, on_image = seen.unbind(dim=-1)
                area = torch.tensor(areas[-len(visible) :], device=seen.device)
                beyond[place].append(on_boxes - on_image * area)
                shares[place].append(on_boxes / on_image.clamp(min=1e-12))
    if not areas:
        return None
    measures = {place: torch.cat(each, dim=1).mean(dim=1) for place, each in beyond.items()}
    best = max(places, key=lambda place: float(_highest(measures[place]).values.sum()))
    heads = sorted(_highest(measures[best]).indices.tolist())
    return GroundingHeads(
        layer=best + 1,
        heads=tuple(heads),
        on_boxes=float(torch.cat(shares[best], dim=1)[heads].mean()),
        by_chance=sum(areas) / len(areas),
        num_mentions=len(areas),
    )


def _highest(measures: Tensor) -> torch.return_types.topk:
    return measures.topk(min(NUM_HEADS, len(measures)))


def _attends(loaded: LoadedModel, layer: int) -> bool:
    return attention_of(loaded.decoder, layer) is not None


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


def _seen(attention: AttentionInputs, mask: Tensor, image: Tensor, mentions: Sequence[MentionTokens]) -> Tensor:
    """Return attention of mentions on their boxes and on the whole picture, ``(heads, mentions, 2)``."""
    rows = [mention.span[1] for mention in mentions]
    weights = attention.scores(0, rows, range(attention.query.shape[1]), mask).softmax(dim=-1)[:, :, image]
    boxes = torch.zeros(len(mentions), len(image), device=weights.device)
    for line, mention in enumerate(mentions):
        boxes[line, list(mention.regions or ())] = 1
    return torch.stack([(weights * boxes).sum(dim=-1), weights.sum(dim=-1)], dim=-1)
