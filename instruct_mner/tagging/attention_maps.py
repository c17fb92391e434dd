"""Attention maps: drawings of the attention of each mention over the pictures of its post."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from instruct_mner.alignment.checkpoint import load_heads
from instruct_mner.alignment.objective import AlignmentBatch, View
from instruct_mner.alignment.region_span_grounding import HeadGrounding
from instruct_mner.alignment.sample_tokens import MentionTokens, SampleTokens
from instruct_mner.engines.transformers import TransformersEngine
from instruct_mner.images import open_image
from instruct_mner.models.hooks import capture, nearest_attention
from instruct_mner.models.modes import in_use
from instruct_mner.models.prompt_tokens import PromptTokens
from instruct_mner.models.token_offsets import Place, overlapping, word_spans
from instruct_mner.prompting.conversation import post_text
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.tagging.question import Question
from instruct_mner.tagging.tagger import Tagger

_STRENGTH = 0.75


class AttentionMapDrawer:
    """Drawer of the attention of each mention over the pictures of its post.

    Of a model that was tuned with ``region_span_grounding`` it is the attention that was supervised: of the decoder's
    chosen heads, or of the head beside it. Of others it is the mean over the heads of the decoder's middle layer. It is
    that of the last token of a mention; where words around it were supervised too, of the one that looks at the picture
    most.

    Args:
        tagger: Tagger on a model in this process.
        heads: Folder ``alignment`` of the run that trained the model; without one, the middle layer is drawn.
        folder: Folder of the drawings.
        labels: Labels in place of those of the tuning.
    """

    def __init__(self, tagger: Tagger, heads: Path, folder: Path, labels: LabelSet | None = None) -> None:
        assert isinstance(tagger.engine, TransformersEngine)
        self._tagger = tagger
        self._labels = labels
        self._engine = tagger.engine
        self._loaded = tagger.engine.loaded
        self._folder = folder
        config = self._loaded.model.config.get_text_config()
        self._layer = nearest_attention(self._loaded.decoder, config.num_hidden_layers // 2)
        self._heads: Sequence[int] = range(config.num_attention_heads)
        self._head_module: HeadGrounding | None = None
        self._neighbours = False
        self._tokens = PromptTokens(self._loaded)
        if heads.is_dir():
            self._use_trained(heads)

    def _use_trained(self, folder: Path) -> None:
        """Draw the attention that ``region_span_grounding`` supervised, where the run had this objective."""
        settings, modules = load_heads(folder)
        grounding = settings.region_span_grounding
        if grounding is None or grounding.layer is None:
            return
        if grounding.through == "attention":
            self._layer, self._heads = grounding.layer - 1, grounding.head_numbers
            self._neighbours = grounding.around == "neighbours"
            return
        head = modules["region_span_grounding"]
        assert isinstance(head, HeadGrounding)
        self._layer, self._head_module = grounding.layer, head
        # The bottleneck's sample `v` is drawn by a module of its own, which moves with it.
        for module in modules.values():
            module.to(self._loaded.model.device)

    def draw(self, example: Example, paths: Sequence[Path], prediction: Prediction) -> list[Path]:
        """Draw the attention of the mentions of a post on its pictures.

        Args:
            example: Post.
            paths: Files of its pictures.
            prediction: Entities that were predicted for it.

        Returns:
            A file for each mention and picture: ``ID-NUMBER-MENTION[-PICTURE].png``.
        """
        images = tuple(open_image(path) for path in paths[: self._tagger.manifest.max_images])
        if not images or not prediction.entities:
            return []
        [question], _ = self._tagger.questions_about([(example, images)], self._tagger.answer_spec(self._labels))
        weights, boxes = self._weights(question, prediction)
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

    def _weights(self, question: Question, prediction: Prediction) -> tuple[Tensor, list[Tensor]]:
        """Return the attention, ``(mentions, image tokens)``, and the boxes of the image tokens of each picture."""
        loaded = self._loaded
        inputs = self._engine.inputs([question.request])
        ids = inputs["input_ids"][0].tolist()
        boxes = self._tokens.image_boxes(ids, [image.size for image in question.images], inputs)
        row = self._row(question, prediction, ids)
        inputs = inputs.to(loaded.model.device)
        states, attention = ((self._layer,), ()) if self._head_module is not None else ((), (self._layer,))
        watched = capture(loaded.decoder, layers=states, attention_layers=attention)
        with in_use(loaded.model), torch.no_grad(), watched as captured:
            loaded.base.model(**inputs, use_cache=False)
            assert captured.states is not None
            if self._head_module is not None:
                batch = AlignmentBatch(
                    image=View(
                        states=captured.states,
                        inputs=inputs,
                        rows=(replace(row, image_boxes=torch.cat(boxes)),),
                        layers=captured.layers,
                    )
                )
                return self._head_module.attention(batch)[0].cpu(), boxes
            spans = [row.around(each) if self._neighbours else (each.span[1], each.span[1]) for each in row.mentions]
            at = [range(first, last + 1) for first, last in spans]
            scores = captured.attention[self._layer].scores(
                0, [token for each in at for token in each], self._heads, inputs["attention_mask"][0]
            )
            shares = scores.softmax(dim=-1).mean(dim=0)[:, inputs["input_ids"][0] == loaded.image_token_id].cpu()
        return torch.stack([part[part.sum(dim=1).argmax()] for part in torch.split(shares, [*map(len, at)])]), boxes

    def _row(self, question: Question, prediction: Prediction, ids: list[int]) -> SampleTokens:
        """Return the tokens of the text and of the mentions in the prompt."""
        place = self._tokens.find(ids, range(len(ids)), post_text(question.request.messages))
        text, begin = question.example.text, self._tagger.questions.text_begins(question)
        words = word_spans(text)
        mentions = [
            MentionTokens(
                type=0,
                span=_span(place, begin, entity.start, entity.end),
                words=overlapping(words, entity.start, entity.end) or (0, 0),
                label=(0, 0),
                written=(0, 0),
            )
            for entity in prediction.entities
        ]
        found = None if place is None or begin is None else place.tokens(begin, begin + len(text))
        return SampleTokens(key=question.example.id, post=found, mentions=tuple(mentions))


def _span(place: Place | None, begin: int | None, start: int, end: int) -> tuple[int, int]:
    """Return the tokens of a mention; where the text is not in the prompt, its last token takes their place."""
    tokens = None if place is None or begin is None else place.tokens(begin + start, begin + end)
    return tokens or (-1, -1)


def heated(image: Image.Image, cells: Tensor, weights: Tensor) -> Image.Image:
    """Return a picture that is darkened where there is no attention, and red where there is much.

    Args:
        image: Picture.
        cells: Boxes of the image tokens in 0..1 of the picture, ``(image_tokens, 4)``.
        weights: Attention on each image token, ``(image_tokens,)``; only the proportions matter.
    """
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
    return Image.fromarray(np.clip(grey * (1 - share) + red * share, 0, 255).astype("uint8"))


def _safe(text: str) -> str:
    """Return a text as part of a file name."""
    return re.sub(r"[^\w.-]+", "_", text)[:40].strip("._") or "_"
