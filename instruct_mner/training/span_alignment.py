"""Mentions, words, answers and regions in the tokens that are trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from instruct_mner.alignment.sample_tokens import MentionTokens, SampleTokens, TokenSpan
from instruct_mner.answers import codec
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.models.loading import LoadedModel
from instruct_mner.models.prompt_tokens import PromptTokens
from instruct_mner.models.token_offsets import Place, overlapping, word_spans
from instruct_mner.schema.records import Entity
from instruct_mner.training.augmentation import AugmentationSettings
from instruct_mner.training.batch import Batch
from instruct_mner.training.sample import TrainingSample

if TYPE_CHECKING:
    from torch import Tensor

    from instruct_mner.training.conversation import Conversations

# A half, less what rounding may take from it.
_HALF = 0.4999


class SpanAnnotator:
    """Finder of mentions, words, answers and regions in the tokens of a view.

    Args:
        loaded: Model.
        conversations: Writer of the prompts and answers.
        augmentation: Settings with the other names of types.
    """

    def __init__(self, loaded: LoadedModel, conversations: Conversations, augmentation: AugmentationSettings) -> None:
        self._conversations = conversations
        spec = conversations.spec
        self._types = {name: index for index, name in enumerate(spec.labels.names)}
        for name, others in augmentation.label_names.items():
            self._types.update(dict.fromkeys(others, self._types[name]))
        self._tokens = PromptTokens(loaded)

    @property
    def spec(self) -> AnswerSpec:
        """Form of the answers."""
        return self._conversations.spec

    def rows(self, samples: Sequence[TrainingSample], batch: Batch) -> tuple[SampleTokens, ...]:
        """Return the positions in the tokens of a view, post by post.

        Args:
            samples: Samples of the view.
            batch: Batch that TRL's collator made of them.

        Raises:
            ModelError: The image tokens are not those that the family writes.
        """
        rows, first = [], 0
        for number, sample in enumerate(samples):
            ids = batch["input_ids"][number].tolist()
            sizes = sample.image_sizes
            boxes = self._tokens.image_boxes(ids, sizes, batch, first) if sizes else None
            first += len(sizes)
            attended = batch["attention_mask"][number].nonzero()[:, 0].tolist()
            answer = (batch["labels"][number] != -100).nonzero()[:, 0].tolist()
            prompt = attended[: len(attended) - len(answer)]
            rows.append(self._row(sample, ids, prompt, answer, boxes))
        return tuple(rows)

    def _row(
        self,
        sample: TrainingSample,
        ids: list[int],
        prompt: list[int],
        answer: list[int],
        boxes: list[Tensor] | None,
    ) -> SampleTokens:
        begin = self._conversations.text_begins(sample.example, len(sample.image_sizes))
        place = None if begin is None else self._tokens.find(ids, prompt, sample.post_text)
        written = self._tokens.find(ids, answer, sample.answer)
        text = self._conversations.text(sample.example)
        span = None if place is None or begin is None else place.tokens(begin, begin + len(text))
        num_gold = len(sample.example.gold)
        if place is None or written is None or begin is None or span is None:
            return SampleTokens(key=sample.key, picture=sample.picture_hash, is_lost=bool(text), lost_mentions=num_gold)
        words = word_spans(text, self.spec.segmentation)
        answered = self._answered(sample, text, written)
        mentions = self._mentions(sample, place, begin, words, answered, boxes)
        annotated = [overlapping(words, entity.start, entity.end) for entity in sample.annotated]
        known = {mention.words for mention in mentions}
        return SampleTokens(
            key=sample.key,
            post=span,
            words=tuple(place.tokens(begin + start, begin + end) or span for start, end in words),
            mentions=mentions,
            left_out=tuple(inside for inside in annotated if inside is not None and inside not in known),
            content=_content(answered, written),
            image_boxes=None if boxes is None else torch.cat(boxes),
            picture=sample.picture_hash,
            lost_mentions=num_gold - len(mentions),
        )

    def _mentions(
        self,
        sample: TrainingSample,
        place: Place,
        begin: int,
        words: Sequence[tuple[int, int]],
        answered: Sequence[_Answered],
        boxes: Sequence[Tensor] | None,
    ) -> tuple[MentionTokens, ...]:
        mentions = []
        for entity, written in zip(sample.example.gold, answered, strict=False):
            span = place.tokens(begin + entity.start, begin + entity.end)
            inside = overlapping(words, entity.start, entity.end)
            if span is None or inside is None:
                continue
            mentions.append(
                MentionTokens(
                    type=self._types[entity.label],
                    span=span,
                    words=inside,
                    label=written.label,
                    written=written.mention,
                    regions=None if boxes is None else _regions(entity, boxes, sample.image_sizes),
                )
            )
        return tuple(mentions)

    def _answered(self, sample: TrainingSample, text: str, place: Place) -> list[_Answered]:
        """Return the tokens of each entity of the answer; none where one is missing."""
        form = codec.in_format(self.spec.with_labels(sample.labels), len(sample.image_sizes))
        written = form.written(text, sample.answer)
        if len(written) != len(sample.example.gold):
            return []
        answered = []
        for entity in written:
            label, mention = place.tokens(*entity.label), place.tokens(*entity.mention)
            content = [place.tokens(*span) for span in entity.content]
            if label is None or mention is None or None in content:
                return []
            answered.append(_Answered(label, mention, [span for span in content if span is not None]))
        return answered


class _Answered(NamedTuple):
    """Tokens of an entity of an answer: its label, its mention, and what says both."""

    label: TokenSpan
    mention: TokenSpan
    content: list[TokenSpan]


def _content(answered: Sequence[_Answered], place: Place) -> tuple[int, ...]:
    """Return the tokens that say what the entities are, or where there are none those of the whole answer."""
    spans = [span for each in answered for span in each.content]
    if not spans:
        whole = place.tokens(0, len(place.text))
        spans = [] if whole is None else [whole]
    return tuple(sorted({position for first, last in spans for position in range(first, last + 1)}))


def _regions(entity: Entity, boxes: Sequence[Tensor], sizes: Sequence[tuple[int, int]]) -> tuple[int, ...] | None:
    """Return the image tokens on a box of the entity, counted over all pictures of the post."""
    if entity.boxes is None:
        return None
    regions: set[int] = set()
    first = 0
    for number, (cells, (width, height)) in enumerate(zip(boxes, sizes, strict=True)):
        for box in entity.boxes:
            if box.image == number:
                x0, y0, x1, y1 = box.box
                relative = (x0 / width, y0 / height, x1 / width, y1 / height)
                regions.update(first + cell for cell in covered(cells, relative))
        first += len(cells)
    return tuple(sorted(regions))


def covered(cells: Tensor, box: tuple[float, float, float, float]) -> list[int]:
    """Return the cells of which a box covers half, or that hold half of the box; else the one with most of it.

    Args:
        cells: Boxes of the cells, ``(cells, 4)``: ``x0, y0, x1, y1`` in 0..1.
        box: Box in the same units.
    """
    limits = torch.tensor(box).clamp(0, 1)
    low, high = torch.maximum(cells[:, :2], limits[:2]), torch.minimum(cells[:, 2:], limits[2:])
    shared = (high - low).clamp(min=0).prod(dim=1)
    area = (cells[:, 2:] - cells[:, :2]).prod(dim=1)
    least = torch.minimum(area, (limits[2:] - limits[:2]).prod().expand_as(area))
    chosen = (shared > 0) & ((shared >= _HALF * least) | (shared == shared.max()))
    return [int(index) for index in chosen.nonzero()[:, 0]]
