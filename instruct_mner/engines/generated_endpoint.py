"""The engine on a vLLM that is sent, in the place of a picture, features generated from the post's text."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from instruct_mner.engines.endpoint import Endpoint, EndpointEngine
from instruct_mner.engines.generated import PictureGenerator, pictured_form
from instruct_mner.models.generated_pictures import blank_picture

if TYPE_CHECKING:
    from torch import Tensor

    from instruct_mner.engines.engine import Request
    from instruct_mner.models.description import ModelDescription


class GeneratedPictureEndpoint(EndpointEngine):
    """Engine that answers requests without pictures from one that is generated from the text, with vLLM.

    vLLM runs with ``--enable-mm-embeds``. Features of a wrong shape can end it, so that it must be one that nobody else
    can reach.

    Args:
        endpoint: Server.
        description: Model without its weights.
        key: API key of the server.
        generator: Generator of the pictures.
    """

    def __init__(
        self, endpoint: Endpoint, description: ModelDescription, key: str, generator: PictureGenerator
    ) -> None:
        super().__init__(endpoint, description, key)
        self._family, self._processor = description.family, description.processor
        self._generator = generator
        # One at a time, whose threads are those of torch.
        self._free = Lock()

    def count_prompt(self, request: Request) -> int:
        """Return the number of tokens of a prompt, at most: with those of a blank picture and of a generated one."""
        blank = replace(request, messages=pictured_form(request).messages, images=(blank_picture(),))
        return super().count_prompt(blank) + self._generator.grid**2

    def _body(self, request: Request, temperature: float, seed: int) -> dict[str, Any]:
        with self._free:
            [features] = self._generator.pictures([request])
        part = {"type": "image_embeds", "image_embeds": self._embeddings(features)}
        messages = [
            {**message, "content": [part if each["type"] == "image" else each for each in message["content"]]}
            for message in pictured_form(request).messages
        ]
        return super()._body(replace(request, messages=messages), temperature, seed)

    def _embeddings(self, features: Tensor) -> str | dict[str, str]:
        """Return the features as vLLM takes them, with what else the family says of a picture."""
        grid = self._generator.grid
        more = self._family.grid_inputs(self._processor, 1, grid, grid)
        if not more:
            return _encoded(features)
        return {"image_embeds": _encoded(features), **{name: _encoded(value[0]) for name, value in more.items()}}


def _encoded(tensor: Tensor) -> str:
    """Return a tensor as vLLM reads it without pickle: NumPy's format, in base64."""
    file = io.BytesIO()
    array = tensor.detach().cpu()
    np.save(file, (array.float() if array.is_floating_point() else array).numpy(), allow_pickle=False)
    return base64.b64encode(file.getvalue()).decode()
