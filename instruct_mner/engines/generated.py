"""The transformers engine on pictures that are generated from the posts' texts."""

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
from instruct_mner.engines.engine import Request
from instruct_mner.engines.transformers import TransformersEngine
from instruct_mner.errors import ModelError
from instruct_mner.models.generated_pictures import blank_picture, encoder_outputs, with_grid
from instruct_mner.models.hooks import capture
from instruct_mner.models.loading import LoadedModel
from instruct_mner.models.prompt_tokens import PromptTokens
from instruct_mner.prompting.conversation import post_text

if TYPE_CHECKING:
    from torch import Tensor


class GeneratedPictureEngine(TransformersEngine):
    """Engine that answers requests without pictures from one that is generated from the text.

    The bare question is read once, for the states of the text at the layers that the generator was trained on; the
    picture that it writes takes the place of one in a second question, which is answered.

    Args:
        loaded: Model with processor and family.
        heads: Folder ``alignment`` of the run that trained the model.
        batch_size: Number of requests answered at once.

    Raises:
        ModelError: The run trained no generator, or none that was answered from.
    """

    def __init__(self, loaded: LoadedModel, heads: Path, batch_size: int = 8) -> None:
        super().__init__(loaded, batch_size)
        needed = "; --image-source generated needs a model tuned with alignment.generative"
        try:
            settings, objectives = load_heads(heads)
        except ModelError as error:
            raise ModelError(f"{error}{needed}") from None
        if settings.generative is None or not settings.generative.generated_share:
            raise ModelError(f"{heads}: no post was answered from a generated picture in training{needed}")
        generator = objectives["generative"]
        assert isinstance(generator, Generative)
        self._generator = generator.to(loaded.model.device)
        self._grid = settings.generative.grid
        self._tokens = PromptTokens(loaded)

    def inputs(self, batch: Sequence[Request]) -> Any:
        """Return the inputs of questions with a generated picture each."""
        pictured = [replace(each, messages=_pictured(each), images=(blank_picture(),)) for each in batch]
        pictures = self._pictures(batch)
        inputs = with_grid(super().inputs(pictured), self._loaded, self._grid, padding_side="left")
        outputs = encoder_outputs(self._loaded, pictures.to(self._loaded.model.dtype))
        return BatchFeature({**inputs, "mm_encoder_outputs": outputs})

    def _pictures(self, batch: Sequence[Request]) -> Tensor:
        model = self._loaded.model
        inputs = super().inputs(batch).to(model.device)
        spans = [
            self._span(request, ids, mask)
            for request, ids, mask in zip(
                batch, inputs["input_ids"].tolist(), inputs["attention_mask"].tolist(), strict=True
            )
        ]
        with torch.no_grad(), capture(self._loaded.decoder, layers=self._generator.stages) as captured:
            self._loaded.base.model(**inputs, use_cache=False)
            mask = span_mask(spans, inputs["input_ids"].shape[1], model.device)
            texts = [gathered(captured.layers[layer], mask) for layer in self._generator.stages]
            return self._generator.picture_of([states for states, _ in texts], texts[0][1])

    def _span(self, request: Request, ids: list[int], mask: list[int]) -> tuple[int, int]:
        """Return the tokens of the text in the bare question."""
        assert request.from_text is not None
        positions = [position for position, real in enumerate(mask) if real]
        block = post_text(request.messages)
        place = self._tokens.find(ids, positions, block)
        begin, end = request.from_text.begin, request.from_text.end
        span = None if place is None else place.tokens(begin, end)
        if span is None:
            raise ModelError(f"no picture can be generated from {block[begin:end]!r}: its question does not show it")
        return span


def _pictured(request: Request) -> list[dict[str, Any]]:
    if request.from_text is None:
        raise ModelError("a request that is to be answered from a generated picture does not say how")
    return request.from_text.messages
