"""Finds mentions, words, answers and regions in the tokens that are trained on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from instruct_mner.alignment.token_spans import MentionTokens, Row, TokenSpan
from instruct_mner.answers import codec
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.models.families import token_boxes
from instruct_mner.models.loading import LoadedModel
from instruct_mner.models.token_offsets import Place, TokenText
from instruct_mner.schema.records import Entity
from instruct_mner.training.augmentation import AugmentationSettings
from instruct_mner.training.sample import Shown

if TYPE_CHECKING:
    from torch import Tensor

    from instruct_mner.training.conversation import Conversations


class Annotator:
    """Finds things in the tokens of a view.

    Args:
        loaded: The model.
        conversations: How posts are asked about.
        augmentation: Other names of types.
    """

    def __init__(self, loaded: LoadedModel, conversations: Conversations, augmentation: AugmentationSettings) -> None:
        self._loaded = loaded
        self._conversations = conversations
        spec = conversations.spec
        self._types = {name: index for index, name in enumerate(spec.labels.names)}
        for name, others in augmentation.label_names.items():
            self._types.update(dict.fromkeys(others, self._types[name]))
        vocabulary = int(loaded.model.get_input_embeddings().weight.shape[0])
        self._text = TokenText(loaded.processor.tokenizer, vocabulary)

    @property
    def spec(self) -> AnswerSpec:
        """How posts are answered."""
        return self._conversations.spec

    def rows(self, shown: Sequence[Shown], batch: Mapping[str, Any], image_token_id: int) -> tuple[Row, ...]:
        """The rows of a view.

        Args:
            shown: Its posts.
            batch: What TRL's collator made of them.
            image_token_id: The id of an image token.
        """
        rows, first = [], 0
        for number, post in enumerate(shown):
            ids = batch["input_ids"][number].tolist()
            boxes = None
            sizes = [image.size for image in post.row["images"]]
            if sizes:
                inputs = {name: batch[name][first : first + len(sizes)] for name in _PER_PICTURE if name in batch}
                family, processor = self._loaded.family, self._loaded.processor
                boxes = token_boxes(family, processor, image_token_id, ids, sizes, inputs)
                first += len(sizes)
            real = zip(ids, batch["attention_mask"][number].tolist(), strict=True)
            said = [position for position, on in enumerate((batch["labels"][number] != -100).tolist()) if on]
            asked = [position for position, (token, on) in enumerate(real) if on and token != image_token_id]
            rows.append(self._row(post, ids, asked[: len(asked) - len(said)], said, boxes))
        return tuple(rows)

    def _row(
        self, post: Shown, ids: list[int], question: list[int], answer: list[int], boxes: list[Tensor] | None
    ) -> Row:
        import torch

        begin = self._conversations.text_begins(post.example, len(post.row["images"]))
        place = None if begin is None else self._text.sequence(ids, question).find(post.block)
        written = self._text.sequence(ids, answer).find(post.answer)
        if place is None or written is None or begin is None:
            return Row(post.key, None)
        text = self._conversations.shown_text(post.example)
        span = place.tokens(begin, begin + len(text))
        if span is None:
            return Row(post.key, None)
        words = _words(text, self.spec.segmentation)
        tokens = [place.tokens(begin + start, begin + end) or span for start, end in words]
        found = self._written(post, written)
        sizes = [image.size for image in post.row["images"]]
        mentions = []
        for entity, (label, surface) in zip(post.example.gold, found, strict=False):
            stands = place.tokens(begin + entity.start, begin + entity.end)
            inside = [number for number, (start, end) in enumerate(words) if start < entity.end and end > entity.start]
            if stands is None or not inside:
                continue
            regions = None if boxes is None else _regions(entity, boxes, sizes)
            mentions.append(
                MentionTokens(self._types[entity.label], stands, (inside[0], inside[-1]), label, surface, regions)
            )
        return Row(
            key=post.key,
            post=span,
            words=tuple(tokens),
            mentions=tuple(mentions),
            content=_content(found, written),
            image_boxes=None if boxes is None else torch.cat(boxes),
        )

    def _written(self, post: Shown, place: Place) -> list[tuple[TokenSpan, TokenSpan]]:
        """Tokens of label and mention of each entity of the answer; none where not all are found."""
        spec = self.spec.with_labels(post.labels)
        mentions, _ = codec.in_format(spec, len(post.row["images"])).read(post.answer, finished=True)
        if len(mentions) != len(post.example.gold):
            return []
        found = []
        for mention in mentions:
            if len(mention.written) == 2:  # JSON: the text, then the label
                surface, label = mention.written
            else:  # a line: the label, the separator, the text
                start, end = mention.written[0]
                label, surface = (start, start + len(mention.label)), (end - len(mention.surface), end)
            tokens = place.tokens(*label), place.tokens(*surface)
            if tokens[0] is None or tokens[1] is None:
                return []
            found.append((tokens[0], tokens[1]))
        return found


# Half, but for rounding.
_HALF = 0.4999
# What the processor returns once for each picture, rather than for each post.
_PER_PICTURE = ("image_grid_thw",)


def _content(found: Sequence[tuple[TokenSpan, TokenSpan]], place: Place) -> tuple[int, ...]:
    """Labels and mentions; where there is none, the whole answer says so."""
    spans = [span for each in found for span in each]
    if not spans:
        whole = place.tokens(0, len(place.text))
        spans = [] if whole is None else [whole]
    return tuple(sorted({position for first, last in spans for position in range(first, last + 1)}))


def _words(text: str, segmentation: str) -> list[tuple[int, int]]:
    pattern = r"\S" if segmentation == "characters" else r"\S+"
    return [match.span() for match in re.finditer(pattern, text)]


def _regions(entity: Entity, boxes: Sequence[Tensor], sizes: Sequence[tuple[int, int]]) -> tuple[int, ...] | None:
    """The image tokens that look at a box of the entity, counted over all pictures of the post."""
    if entity.boxes is None:
        return None
    found: set[int] = set()
    first = 0
    for number, (cells, (width, height)) in enumerate(zip(boxes, sizes, strict=True)):
        for box in entity.boxes:
            if box.image == number:
                x0, y0, x1, y1 = box.box
                relative = (x0 / width, y0 / height, x1 / width, y1 / height)
                found.update(first + cell for cell in covered(cells, relative))
        first += len(cells)
    return tuple(sorted(found))


def covered(cells: Tensor, box: tuple[float, float, float, float]) -> list[int]:
    """Cells of which a box covers half, or that hold half of the box; else the one with most of it.

    Args:
        cells: ``(cells, 4)``, ``x0, y0, x1, y1`` in 0..1.
        box: In the same units.
    """
    import torch

    limits = torch.tensor(box).clamp(0, 1)
    low, high = torch.maximum(cells[:, :2], limits[:2]), torch.minimum(cells[:, 2:], limits[2:])
    shared = (high - low).clamp(min=0).prod(dim=1)
    area = (cells[:, 2:] - cells[:, :2]).prod(dim=1)
    least = torch.minimum(area, (limits[2:] - limits[:2]).prod().expand_as(area))
    chosen = (shared > 0) & ((shared >= _HALF * least) | (shared == shared.max()))
    return [int(index) for index in chosen.nonzero()[:, 0]]
