"""Pictures that are generated from the posts' texts, and the transformers engine on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import BatchFeature

from instruct_mner.alignment.checkpoint import load_heads
from instruct_mner.alignment.generative import Generative
from instruct_mner.alignment.pooling import gathered, span_mask
from instruct_mner.engines.engine import FromText, Request
from instruct_mner.engines.transformers import TransformersEngine
from instruct_mner.errors import ModelError
from instruct_mner.models.generated_pictures import blank_picture, encoder_outputs, num_features, with_grid
from instruct_mner.models.hooks import capture
from instruct_mner.models.loading import LoadedModel
from instruct_mner.models.modes import in_use
from instruct_mner.models.prompt_tokens import PromptTokens
from instruct_mner.prompting.conversation import post_text

if TYPE_CHECKING:
    from torch import Tensor

_NEEDS = "a generated picture needs a model tuned with alignment.generative"


class PictureGenerator:
    """Generator of pictures from the texts of requests, as features of image tokens.

    The bare question is read once, for the states of the text at the layers that the generator was trained on.

    Args:
        engine: Engine on the model, whose questions are read.
        loaded: Model with processor and family.
        heads: Folder ``alignment`` of the run that trained the model.

    Attributes:
        grid: Number of rows and of columns of a picture.

    Raises:
        ModelError: The run trained no generator, or none that was answered from.
    """

    def __init__(self, engine: TransformersEngine, loaded: LoadedModel, heads: Path) -> None:
        needed = f"; {_NEEDS}"
        try:
            settings, objectives = load_heads(heads)
        except ModelError as error:
            raise ModelError(f"{error}{needed}") from None
        if settings.generative is None or not settings.generative.generated_share:
            raise ModelError(f"{heads}: no post was answered from a generated picture in training{needed}")
        generator = objectives["generative"]
        assert isinstance(generator, Generative)
        if not generator.has_seen_pictures:
            raise ModelError(f"{heads}: no picture was seen in training{needed}")
        self._engine, self._loaded = engine, loaded
        self._generator = generator.to(loaded.model.device)
        self._tokens = PromptTokens(loaded)
        self.grid: int = settings.generative.grid

    def pictures(self, batch: Sequence[Request]) -> Tensor:
        """Return the pictures of requests, ``(requests, grid · grid, features)``, in the type of the model.

        Raises:
            ModelError: A request does not say where its text is, or the pictures are not those of this model.
        """
        model = self._loaded.model
        inputs = TransformersEngine.inputs(self._engine, batch).to(model.device)
        spans = [
            self._span(request, ids, mask)
            for request, ids, mask in zip(
                batch, inputs["input_ids"].tolist(), inputs["attention_mask"].tolist(), strict=True
            )
        ]
        with in_use(model), torch.no_grad(), capture(self._loaded.decoder, layers=self._generator.stages) as captured:
            self._loaded.base.model(**inputs, use_cache=False)
            mask = span_mask(spans, inputs["input_ids"].shape[1], model.device)
            texts = [gathered(captured.layers[layer], mask) for layer in self._generator.stages]
            pictures = self._generator.picture_of([states for states, _ in texts], texts[0][1]).to(model.dtype)
        expected = (len(batch), self.grid**2, num_features(self._loaded))
        if pictures.shape != expected:
            raise ModelError(
                f"generated pictures have the shape {tuple(pictures.shape)}, those of this model {expected}: the heads "
                "are of another model"
            )
        return pictures

    def _span(self, request: Request, ids: list[int], mask: list[int]) -> tuple[int, int]:
        """Return the tokens of the text in the bare question."""
        form = pictured_form(request)
        positions = [position for position, real in enumerate(mask) if real]
        block = post_text(request.messages)
        place = self._tokens.find(ids, positions, block)
        span = None if place is None else place.tokens(form.begin, form.end)
        text = block[form.begin : form.end]
        if span is None and not text.strip():  # nothing to be seen, and nothing to be found: any picture will do
            return positions[0], positions[-1] + 1
        if span is None:
            raise ModelError(f"no picture can be generated from {text!r}: its question does not show it")
        return span


class GeneratedPictureEngine(TransformersEngine):
    """Engine that answers requests without pictures from one that is generated from the text.

    The picture takes the place of one in a second question, which is answered.

    Args:
        loaded: Model with processor and family.
        heads: Folder ``alignment`` of the run that trained the model.
        batch_size: Number of requests answered at once.

    Attributes:
        generator: Generator of the pictures.

    Raises:
        ModelError: The run trained no generator, or none that was answered from.
    """

    def __init__(self, loaded: LoadedModel, heads: Path, batch_size: int = 8) -> None:
        super().__init__(loaded, batch_size)
        self.generator = PictureGenerator(self, loaded, heads)

    def inputs(self, batch: Sequence[Request]) -> Any:
        """Return the inputs of questions with a generated picture each."""
        pictured = [replace(each, messages=pictured_form(each).messages, images=(blank_picture(),)) for each in batch]
        pictures = self.generator.pictures(batch)
        inputs = with_grid(super().inputs(pictured), self._loaded, self.generator.grid, padding_side="left")
        return BatchFeature({**inputs, "mm_encoder_outputs": encoder_outputs(self._loaded, pictures)})


def pictured_form(request: Request) -> FromText:
    """Return the form of a request that has a place for a picture.

    Raises:
        ModelError: It has none.
    """
    if request.from_text is None:
        raise ModelError("a request that is to be answered from a generated picture does not say how")
    return request.from_text
