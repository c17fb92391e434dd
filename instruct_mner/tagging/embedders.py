"""What posts are compared by: the model's own embeddings, or words where there is no model at hand."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from instruct_mner.engines.engine import Request
from instruct_mner.prompting.retrieval import FloatArray

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from instruct_mner.engines.transformers import TransformersEngine
    from instruct_mner.models.loading import LoadedModel

_SAMPLED = 16


class ModelEmbedder:
    """The model's own embeddings: of tokens those that its decoder begins with, of pictures what its projector makes.

    Nothing of the decoder is computed: a picture costs one pass of the vision tower, a text a look into a table.

    Args:
        loaded: The model.
        engine: Makes the inputs of its pictures.
        batch_size: Posts whose pictures are embedded at once.
    """

    def __init__(self, loaded: LoadedModel, engine: TransformersEngine, batch_size: int = 8) -> None:
        self._loaded = loaded
        self._engine = engine
        self._batch_size = batch_size

    @cached_property
    def identity(self) -> str:
        """A hash of some numbers of every weight: another model, or another tuning, gives other ones."""
        found = hashlib.sha256()
        for name, weight in self._loaded.model.named_parameters():
            sample = weight.detach().flatten()[:: max(1, weight.numel() // _SAMPLED)]
            found.update(f"{name} {tuple(weight.shape)}".encode() + sample.float().cpu().numpy().tobytes())
        return f"model {found.hexdigest()}"

    def tokens(self, text: str) -> list[int]:
        """Those of its tokenizer."""
        ids: list[int] = self._loaded.processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def vectors(self, tokens: Sequence[int]) -> FloatArray:
        """Their input embeddings, ``(tokens, width)``."""
        import torch

        table = self._loaded.model.get_input_embeddings().weight
        chosen = table.detach()[torch.tensor(tokens, device=table.device)]
        found: FloatArray = chosen.float().cpu().numpy()
        return found

    def pictures(self, posts: Sequence[Sequence[Image]]) -> FloatArray:
        """The mean of the image tokens that the decoder would be given, ``(posts, width)``."""
        width = self._loaded.model.get_input_embeddings().weight.shape[1]
        found = np.zeros((len(posts), width), dtype=np.float32)
        seen = [number for number, images in enumerate(posts) if images]
        for start in range(0, len(seen), self._batch_size):
            numbers = seen[start : start + self._batch_size]
            found[numbers] = self._embed([posts[number] for number in numbers])
        return found

    def _embed(self, posts: Sequence[Sequence[Image]]) -> FloatArray:
        import torch

        model = self._loaded.model
        inputs = self._engine.inputs([_question(images) for images in posts]).to(model.device)
        was_training = model.training
        model.eval()
        with torch.no_grad():
            states = _decoder_inputs(model, self._loaded.family.decoder_path, inputs)
        model.train(was_training)
        image = (inputs["input_ids"] == self._loaded.image_token_id)[..., None]
        mean = torch.where(image, states.float(), 0).sum(dim=1) / image.sum(dim=1)
        found: FloatArray = mean.cpu().numpy()
        return found


class _ReachedError(Exception):
    """Carries the decoder's inputs out of a forward that has no need to go on."""

    def __init__(self, states: Tensor) -> None:
        super().__init__()
        self.states = states


def _decoder_inputs(model: Any, decoder_path: str, inputs: Any) -> Tensor:
    """Text and picture embeddings as the decoder is given them, ``(batch, tokens, width)``.

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
    content = [*({"type": "image"} for _ in images), {"type": "text", "text": "."}]
    return Request(messages=[{"role": "user", "content": content}], images=tuple(images))


class WordEmbedder:
    """Words without case, each a dimension by its hash; for servers, which give no embeddings. Pictures are not seen.

    Weighted by rarity and centred as those of a model are, this is the cosine of TF-IDF vectors.
    """

    identity = "words"
    _WIDTH = 4096

    def tokens(self, text: str) -> list[int]:
        """Hashes of its words; of text without spaces between words (Han, kana, Thai), of its characters."""
        words = re.findall(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|\w+", text.casefold())
        return [zlib.crc32(word.encode()) % self._WIDTH for word in words]

    def vectors(self, tokens: Sequence[int]) -> FloatArray:
        """A one in the place of each, ``(tokens, 4096)``."""
        found = np.zeros((len(tokens), self._WIDTH), dtype=np.float32)
        found[np.arange(len(tokens)), tokens] = 1
        return found

    def pictures(self, posts: Sequence[Sequence[Image]]) -> None:
        """None are seen."""
