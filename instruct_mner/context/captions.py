"""Captions, by the vision-language model itself, through its engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from instruct_mner.engines.engine import Engine, Request
from instruct_mner.prompting.conversation import picture_messages

if TYPE_CHECKING:
    from PIL.Image import Image

INSTRUCTION = (
    "Describe what this picture shows in one sentence. Name people, places and brands only if they are certain."
)
_MAX_TOKENS = 64


def caption(pictures: Sequence[Image], engine: Engine, instruction: str = INSTRUCTION) -> list[str | None]:
    """One line a picture, greedy; ``None`` where the model says nothing.

    Args:
        pictures: Each is captioned alone.
        engine: Engine of any vision-language model.
        instruction: Instruction that the model is given.
    """
    messages = picture_messages(1, instruction)
    requests = [Request(messages=messages, images=(picture,), max_tokens=_MAX_TOKENS) for picture in pictures]
    return [" ".join(completion.text.split()) or None for completion in engine.generate(requests)]
