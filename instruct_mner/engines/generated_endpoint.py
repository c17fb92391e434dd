"""The engine on a vLLM that is sent, in the place of a picture, features generated from the post's text."""

from __future__ import annotations

import asyncio
import base64
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from instruct_mner.engines.endpoint import Endpoint, EndpointEngine
from instruct_mner.engines.generated import PictureGenerator, pictured_form
from instruct_mner.models.generated_pictures import blank_picture

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from torch import Tensor

    from instruct_mner.engines.engine import Completion, Request
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
        # One post at a time, whose threads are those of torch; who waits keeps no thread of the event loop's.
        self._queue = ThreadPoolExecutor(1, thread_name_prefix="instruct-mner-pictures")

    def count_prompt(self, request: Request) -> int:
        """Return the number of tokens of a prompt, at most: with those of a blank picture and of a generated one."""
        blank = replace(request, messages=pictured_form(request).messages, images=(blank_picture(),))
        return super().count_prompt(blank) + self._generator.grid**2

    async def answer(
        self, client: AsyncOpenAI, request: Request, *, temperature: float = 0.0, seed: int = 0
    ) -> Completion:
        """Answer one request.

        Raises:
            ModelError: No picture can be generated from its text.
            ServingError: The errors of :meth:`EndpointEngine.generate`.
        """
        pictured = await asyncio.get_running_loop().run_in_executor(self._queue, self._pictured, request)
        return await super().answer(client, pictured, temperature=temperature, seed=seed)

    def _pictured(self, request: Request) -> Request:
        [features] = self._generator.pictures([request])
        part = {"type": "image_embeds", "image_embeds": self._embeddings(features)}
        messages = [
            {**message, "content": [part if each["type"] == "image" else each for each in message["content"]]}
            for message in pictured_form(request).messages
        ]
        return replace(request, messages=messages)

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
