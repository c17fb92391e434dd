"""BGA-MNER on a vision-language model: each modality is generated from the other.

Source: BGA-MNER, ACM MM 2023, https://arxiv.org/abs/2308.02570, and code derived from it. The paper's text branch uses
only vision that was generated from text; here such a picture takes the place of the real one in the prompt, and some
posts are answered from it, so that posts without picture can be tagged with a generated one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, distributed, nn
from torch.nn.functional import layer_norm

from instruct_mner.alignment.generators import Generator, Sampler, grid_shares, kept_mean, softened_divergence
from instruct_mner.alignment.objective import AlignmentBatch, Needs
from instruct_mner.alignment.pooling import gathered, image_mask, image_tokens, nothing, span_mask
from instruct_mner.alignment.sample_tokens import SampleTokens
from instruct_mner.alignment.settings import GenerativeSettings

# Largest number of tokens of a post that are generated from its picture; posts are shorter.
_MOST_TOKENS = 256


def is_usable(image: SampleTokens, text: SampleTokens) -> bool:
    """Return true for a post that has a picture and a text, each of which can be generated from the other.

    Args:
        image: Positions in the tokens of the post with its picture.
        text: Positions in the tokens of the bare post.
    """
    return bool(image_tokens(image)) and text.post is not None


class Generative(nn.Module):
    """Generation losses in both directions, cycles, and the answer loss on generated pictures.

    The picture is averaged over a fixed grid, so that pictures of all shapes have the same tokens; the features of each
    cell are the output of the projector and the later additions of DeepStack. Texts are the states of the bare post
    after some layers, each a stage. Both are normalised token by token: the losses of both directions are then of one
    size, whatever the scale of a model's image tokens. A picture that is answered from is at the scale of real ones.

    Args:
        settings: Weights and shapes.
        layers: Layers of the stages.
        width: Width of the decoder's states.
        features: Number of features of a cell.
        image_token_id: Id of an image token.
    """

    name = "generative"

    def __init__(
        self, settings: GenerativeSettings, layers: Sequence[int], width: int, features: int, image_token_id: int
    ) -> None:
        super().__init__()
        self.weight = settings.weight
        self.warmup_steps = settings.warmup_steps
        self.needs = Needs(
            rows=True,
            picture=True,
            text_view=True,
            text_layers=tuple(layers),
            generated_share=settings.generated_share,
        )
        self._settings = settings
        self._layers = tuple(layers)
        self._width = width
        self._image_token_id = image_token_id
        own, cells = settings.width, settings.grid**2
        self.text2image = nn.ModuleList(Generator(width, features, cells, own) for _ in layers)
        self.image2text = nn.ModuleList(Generator(features, width, _MOST_TOKENS, own) for _ in layers)
        self.words = nn.ModuleList(Sampler(width) for _ in layers)
        self.cells = nn.ModuleList(Sampler(features) for _ in layers)
        # Root mean square of real embeddings: measured on the first picture, and saved with the heads.
        self.register_buffer("scale", torch.zeros(features // width))

    def forward(self, batch: AlignmentBatch) -> tuple[Tensor, Mapping[str, float]]:
        """Return loss and metrics; see :class:`~instruct_mner.alignment.objective.Objective`."""
        text = batch.text
        usable = [
            number
            for number, row in enumerate(batch.origin)
            if text is not None and is_usable(batch.image.rows[row], text.rows[number])
        ]
        pictures = self._real(batch, [batch.origin[number] for number in usable]) if usable else None
        self._measure(pictures)
        if pictures is None or text is None:
            return nothing(batch), {}
        keys = [text.rows[number].key for number in usable]
        texts, own = self._texts(batch, usable)
        losses, generated, metrics = self._stages(pictures, texts, own, keys)
        loss = losses.sum() / len(batch.states)
        if batch.generated is not None:
            lines = [usable.index(row) for row in batch.generated.rows]
            answered = batch.generated.answer_loss(generated[lines])
            loss = loss + self._settings.generated_weight * answered
            metrics["generated_answer_loss"] = answered.item()
        return loss, metrics

    def picture_of(self, states: Sequence[Tensor], own: Tensor) -> Tensor:
        """Return the generated picture of bare posts, ``(batch, cells, features)``, as in tagging.

        Args:
            states: States of the posts' tokens at each stage, ``(batch, tokens, width)``.
            own: Mask of the posts' tokens, ``(batch, tokens)``; false at padding.
        """
        keep = own.to(self._dtype)
        for stage, each in enumerate(states):
            text = self._normal(each)
            keep = self.words[stage](text, keep, None, "")
        return self._scaled(self._written(len(states) - 1, text, keep, own))

    @property
    def stages(self) -> tuple[int, ...]:
        """Layers of the stages."""
        return self._layers

    @property
    def has_seen_pictures(self) -> bool:
        """True where the scale of real pictures is known, without which generated ones are all 0."""
        return bool(cast("Tensor", self.scale).any())

    @property
    def _dtype(self) -> torch.dtype:
        return cast("Tensor", self.scale).dtype

    def _normal(self, states: Tensor) -> Tensor:
        return layer_norm(states.to(self._dtype), (self._width,))

    def _normal_pictures(self, pictures: Tensor) -> Tensor:
        """Return pictures with each part of a cell normalised: the projector's output, each addition of DeepStack."""
        return self._normal(self._in_parts(pictures)).flatten(-2)

    def _real(self, batch: AlignmentBatch, rows: Sequence[int]) -> Tensor:
        """Return pictures on the grid, ``(rows, cells, features)``, without gradient: the projector is not trained."""
        assert batch.image.picture is not None
        mask = image_mask(batch.image, self._image_token_id)
        pictures = []
        for row in rows:
            boxes = batch.image.rows[row].image_boxes
            assert boxes is not None
            tokens = batch.image.picture[row, mask[row]].detach().to(self._dtype)
            pictures.append(grid_shares(boxes.to(tokens), self._settings.grid) @ tokens)
        return torch.stack(pictures)

    @torch.no_grad()
    def _measure(self, pictures: Tensor | None) -> None:
        """Measure the scale on the first picture of the run, the same one in all processes of a launch."""
        if self.has_seen_pictures:
            return
        scale = cast("Tensor", self.scale)
        measured = torch.zeros_like(scale)
        if pictures is not None:
            measured = pictures[0].reshape(-1, len(scale), self._width).square().mean(dim=(0, 2)).sqrt()
        if distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1:
            everyone = [torch.empty_like(measured) for _ in range(distributed.get_world_size())]
            distributed.all_gather(everyone, measured)
            measured = next((each for each in everyone if bool(each.any())), measured)
        scale.copy_(measured)

    def _texts(self, batch: AlignmentBatch, rows: Sequence[int]) -> tuple[list[Tensor], Tensor]:
        """Return the states of the posts at each stage, ``(rows, tokens, width)``, and the mask of their tokens."""
        assert batch.text is not None
        spans = [batch.text.rows[row].post for row in rows]
        mask = span_mask(spans, batch.text.states.shape[1], batch.text.states.device)
        states_of = [gathered(batch.text.layers[layer][list(rows)], mask) for layer in self._layers]
        texts = [self._normal(states)[:, :_MOST_TOKENS] for states, _ in states_of]
        return texts, states_of[0][1][:, :_MOST_TOKENS]

    def _stages(
        self, pictures: Tensor, texts: Sequence[Tensor], own: Tensor, keys: Sequence[str]
    ) -> tuple[Tensor, Tensor, dict[str, float]]:
        """Return the losses of each post, the pictures of the last stage, and the metrics."""
        settings = self._settings
        cells = torch.ones(pictures.shape[:2], dtype=torch.bool, device=pictures.device)
        looked, read = cells.to(self._dtype), own.to(self._dtype)
        seen = self._normal_pictures(pictures)
        losses: dict[str, list[Tensor]] = {"text2image": [], "image2text": [], "cycle": []}
        generated = seen
        for stage, text in enumerate(texts):
            looked = self.cells[stage](seen, looked, keys, f"cells/{stage}")
            read = self.words[stage](text, read, keys, f"words/{stage}")
            generated = self._written(stage, text, read, own)
            described = self.image2text[stage](seen, looked, cells, own)
            losses["text2image"].append(self._apart(seen, generated, looked))
            losses["image2text"].append(self._apart(text, described, read))
            if settings.cycle:
                again = self.image2text[stage](generated, torch.ones_like(looked), cells, own)
                back = self._written(stage, described, torch.ones_like(read), own)
                losses["cycle"].append(self._apart(text, again, read) + self._apart(seen, back, looked))
        means = {name: torch.stack(each).mean(dim=0) for name, each in losses.items() if each}
        loss = settings.generation * (means["text2image"] + means["image2text"])
        if "cycle" in means:
            loss = loss + settings.cycle * means["cycle"]
        metrics = {f"{name}_loss": each.mean().item() for name, each in means.items()}
        metrics["kept_cells"] = looked.detach().mean().item()
        metrics["kept_words"] = (read.detach().sum() / own.sum()).item()
        return loss, self._scaled(generated), metrics

    def _apart(self, target: Tensor, generated: Tensor, keep: Tensor) -> Tensor:
        return kept_mean(softened_divergence(target, generated, self._settings.temperature), keep)

    def _written(self, stage: int, text: Tensor, keep: Tensor, own: Tensor) -> Tensor:
        """Return a picture generated from a text, normalised."""
        cells = own.new_ones(len(own), self._settings.grid**2)
        return self.text2image[stage](text, keep, own, cells)  # type: ignore[no-any-return]

    def _scaled(self, pictures: Tensor) -> Tensor:
        """Return normalised pictures at the scale of real ones."""
        return (self._in_parts(pictures) * cast("Tensor", self.scale)[:, None]).flatten(-2)

    def _in_parts(self, pictures: Tensor) -> Tensor:
        return pictures.reshape(*pictures.shape[:2], -1, self._width)
