"""Embeddings of a model in this process, for the choice of few-shot examples."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from instruct_mner.engines.engine import Request
from instruct_mner.engines.transformers import TransformersEngine
from instruct_mner.models.loading import LoadedModel
from instruct_mner.models.modes import in_use
from instruct_mner.models.turns import turn_at
from instruct_mner.prompting.conversation import picture_messages
from instruct_mner.prompting.retrieval import FloatArray

if TYPE_CHECKING:
    from PIL.Image import Image

_SAMPLED = 16


class ModelEmbedder:
    """Embedder of texts by the input embeddings of the decoder, and of pictures by the output of the projector.

    Nothing of the decoder is computed: a picture costs one pass of the vision tower, a text a look into a table.

    Args:
        loaded: Model.
        engine: Engine that makes the inputs of the model.
        batch_size: Number of posts whose pictures are embedded at once.
    """

    def __init__(self, loaded: LoadedModel, engine: TransformersEngine, batch_size: int = 8) -> None:
        self._loaded = loaded
        self._engine = engine
        self._batch_size = batch_size

    @cached_property
    def identity(self) -> str:
        """Hash of some numbers of every weight and of the processor, which differs for another model or tuning."""
        processor = self._loaded.processor
        pictures = getattr(processor, "image_processor", None)
        settings = (repr(processor.chat_template), str(pictures and pictures.to_json_string()))
        digest = hashlib.sha256("".join((self._loaded.tokenizer.backend_tokenizer.to_str(), *settings)).encode())
        for name, weight in self._loaded.model.named_parameters():
            sample = weight.detach().flatten()[:: max(1, weight.numel() // _SAMPLED)]
            digest.update(f"{name} {tuple(weight.shape)}".encode() + sample.float().cpu().numpy().tobytes())
        return f"model {digest.hexdigest()}"

    def tokens(self, text: str) -> list[int]:
        """Return the tokens of a text by the model's tokenizer."""
        tokenizer = self._loaded.tokenizer
        with turn_at(tokenizer):
            ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def vectors(self, tokens: Sequence[int]) -> FloatArray:
        """Return the input embeddings of tokens, ``(tokens, width)``."""
        table = self._loaded.model.get_input_embeddings().weight
        chosen = table.detach()[torch.tensor(tokens, device=table.device)]
        embeddings: FloatArray = chosen.float().cpu().numpy()
        return embeddings

    def pictures(self, posts: Sequence[Sequence[Image]]) -> FloatArray:
        """Return the mean over the image tokens that the decoder would be given, ``(posts, width)``, 0 without any."""
        width = self._loaded.model.get_input_embeddings().weight.shape[1]
        embeddings = np.zeros((len(posts), width), dtype=np.float32)
        pictured = [number for number, images in enumerate(posts) if images]
        for start in range(0, len(pictured), self._batch_size):
            numbers = pictured[start : start + self._batch_size]
            embeddings[numbers] = self._embed([posts[number] for number in numbers])
        return embeddings

    def _embed(self, posts: Sequence[Sequence[Image]]) -> FloatArray:
        model = self._loaded.model
        inputs = self._engine.inputs([_question(images) for images in posts]).to(model.device)
        with torch.no_grad(), in_use(model):
            states = _decoder_inputs(model, self._loaded.family.decoder_path, inputs)
        image = (inputs["input_ids"] == self._loaded.image_token_id)[..., None]
        mean = torch.where(image, states.float(), 0).sum(dim=1) / image.sum(dim=1)
        embeddings: FloatArray = mean.cpu().numpy()
        return embeddings


class _ReachedError(Exception):
    """Carrier of the decoder's inputs out of a forward that has no need to go on."""

    def __init__(self, states: Tensor) -> None:
        super().__init__()
        self.states = states


def _decoder_inputs(model: Any, decoder_path: str, inputs: Any) -> Tensor:
    """Return text and picture embeddings as the decoder is given them, ``(batch, tokens, width)``.

    A hook on the decoder rather than ``get_image_features``, whose arguments and result differ from family to family.
    """

    def leave(module: Any, args: Any, kwargs: Any) -> None:
        raise _ReachedError(kwargs["inputs_embeds"])

    handle = model.get_submodule(decoder_path).register_forward_pre_hook(leave, with_kwargs=True)
    try:
        model(**inputs, use_cache=False)
    except _ReachedError as reached:
        return reached.states
    finally:
        handle.remove()
    raise AssertionError("the decoder was not called")


def _question(images: Sequence[Image]) -> Request:
    return Request(messages=picture_messages(len(images), "."), images=tuple(images))
