"""Pictures of what a model looks at: the attention of each mention over the picture of its post."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instruct_mner.alignment.token_spans import MentionTokens, Row
from instruct_mner.engines.engine import Request
from instruct_mner.engines.transformers import TransformersEngine
from instruct_mner.images import open_image
from instruct_mner.models.families import token_boxes
from instruct_mner.models.token_offsets import TokenText
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.tagging.tagger import Tagger

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

_PER_PICTURE = ("image_grid_thw",)
_STRENGTH = 0.75


class Looker:
    """Draws what each mention looks at.

    Of a model that was tuned with ``region_span_grounding`` it is the attention that was supervised: of the decoder's
    chosen heads, or of the head beside it. Of others it is the mean over the heads of the decoder's middle layer.

    Args:
        tagger: How posts are asked about.
        engine: What answers.
        heads: The folder ``alignment`` of the run that trained the model, where there is one.
        folder: Where the pictures go.
        labels: Other labels than those of the tuning.
    """

    def __init__(
        self,
        tagger: Tagger,
        engine: TransformersEngine,
        heads: Path | None,
        folder: Path,
        labels: LabelSet | None = None,
    ) -> None:
        from instruct_mner.alignment.checkpoint import load_heads

        self._tagger = tagger
        self._labels = labels
        self._engine = engine
        self._loaded = engine.loaded
        self._folder = folder
        config = self._loaded.model.config.get_text_config()
        self._layer = config.num_hidden_layers // 2
        self._heads: Sequence[int] = range(config.num_attention_heads)
        self._beside: Any = None
        self._text = TokenText(
            self._loaded.processor.tokenizer, int(self._loaded.model.get_input_embeddings().weight.shape[0])
        )
        if heads is not None and heads.is_dir():
            settings, found = load_heads(heads)
            grounding = settings.region_span_grounding
            if grounding is not None and grounding.layer is not None:
                if grounding.through == "attention":
                    self._layer, self._heads = grounding.layer - 1, grounding.heads
                else:
                    self._layer, self._beside = grounding.layer, found["region_span_grounding"]
                    # `v` of the bottleneck is sampled by a module of its own, which moves with it.
                    for head in found.values():
                        head.to(self._loaded.model.device)

    def draw(self, example: Example, paths: Sequence[Path], prediction: Prediction) -> list[Path]:
        """Draws the mentions of a post on its pictures.

        Args:
            example: The post.
            paths: Its pictures.
            prediction: What was found in it.

        Returns:
            A file for each mention and picture: ``ID-NUMBER-MENTION[-PICTURE].png``.
        """
        images = [open_image(path) for path in paths[: self._tagger.manifest.max_images]]
        if not images or not prediction.entities:
            return []
        weights, boxes = self._weights(example, images, prediction)
        written = []
        self._folder.mkdir(parents=True, exist_ok=True)
        for number, (entity, row) in enumerate(zip(prediction.entities, weights, strict=True), start=1):
            first = 0
            for picture, (image, cells) in enumerate(zip(images, boxes, strict=True), start=1):
                name = f"{_safe(example.id)}-{number}-{_safe(entity.text)}"
                path = self._folder / f"{name}{f'-{picture}' if len(images) > 1 else ''}.png"
                heated(image, cells, row[first : first + len(cells)]).save(path)
                written.append(path)
                first += len(cells)
        return written

    def _weights(
        self, example: Example, images: Sequence[Image], prediction: Prediction
    ) -> tuple[Tensor, list[Tensor]]:
        """``(mentions, image tokens)``, and where the image tokens of each picture look."""
        import torch

        from instruct_mner.alignment.objective import AlignmentBatch, View
        from instruct_mner.models.hooks import capture

        loaded, tagger = self._loaded, self._tagger
        messages, begin = tagger.conversation(example, len(images), self._labels)
        inputs = self._engine.inputs([Request(messages, tuple(images))])
        ids = inputs["input_ids"][0].tolist()
        told = {name: inputs[name] for name in _PER_PICTURE if name in inputs}
        sizes = [image.size for image in images]
        boxes = token_boxes(loaded.family, loaded.processor, loaded.image_token_id, ids, sizes, told)
        asked = [position for position, token in enumerate(ids) if token != loaded.image_token_id]
        place = self._text.sequence(ids, asked).find(str(messages[-1]["content"][-1]["text"]))
        mentions = [
            MentionTokens(0, self._span(place, begin, entity.start, entity.end), words, (0, 0), (0, 0))
            for entity, words in ((each, _words(example.text, each.start, each.end)) for each in prediction.entities)
        ]
        model = loaded.model
        own, attended = ((self._layer,), ()) if self._beside is not None else ((), (self._layer,))
        inputs = inputs.to(model.device)
        with torch.no_grad(), capture(loaded.decoder, layers=own, attention_layers=attended) as found:
            loaded.base.model(**inputs, use_cache=False)
            assert found.states is not None
            if self._beside is not None:
                row = Row(example.id, None, mentions=tuple(mentions), image_boxes=torch.cat(boxes))
                batch = AlignmentBatch(View(found.states, inputs, (row,), found.layers))
                return self._beside.attention(batch)[0].cpu(), boxes
            scores = found.attention[self._layer].scores(
                0, [mention.span[1] for mention in mentions], self._heads, inputs["attention_mask"][0]
            )
            shares = scores.softmax(dim=-1).mean(dim=0)
        return shares[:, inputs["input_ids"][0] == loaded.image_token_id].cpu(), boxes

    @staticmethod
    def _span(place: Any, begin: int | None, start: int, end: int) -> tuple[int, int]:
        """Tokens of a mention; where the text is not found in the question, its last token looks instead."""
        found = None if place is None or begin is None else place.tokens(begin + start, begin + end)
        return found or (-1, -1)


def heated(image: Image, cells: Tensor, weights: Tensor) -> Image:
    """A picture, darkened where nothing looks and red where much does.

    Args:
        image: The picture.
        cells: ``(image_tokens, 4)``, where each image token looks, in 0..1.
        weights: ``(image_tokens,)``, the attention on each; only their proportions are shown.
    """
    import numpy as np
    from PIL import Image as Images

    width, height = image.size
    heat = np.zeros((height, width))
    for (x0, y0, x1, y1), weight in zip(cells.tolist(), weights.tolist(), strict=True):
        rows, columns = slice(round(y0 * height), round(y1 * height)), slice(round(x0 * width), round(x1 * width))
        area = heat[rows, columns].size
        if area:
            heat[rows, columns] += weight / area
    heat /= heat.max() or 1.0
    pixels = np.asarray(image, dtype=float)
    red = np.array([255.0, 40.0, 0.0])
    grey = pixels.mean(axis=-1, keepdims=True) * 0.6 + pixels * 0.2
    share = _STRENGTH * heat[..., None]
    return Images.fromarray(np.clip(grey * (1 - share) + red * share, 0, 255).astype("uint8"))


def _safe(text: str) -> str:
    """As part of a file name."""
    return re.sub(r"[^\w.-]+", "_", text)[:40].strip("._") or "_"


def _words(text: str, start: int, end: int) -> tuple[int, int]:
    """First and last word of some characters."""
    inside = [
        number for number, match in enumerate(re.finditer(r"\S+", text)) if match.start() < end and match.end() > start
    ]
    return (inside[0], inside[-1]) if inside else (0, 0)
