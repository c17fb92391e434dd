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
# A sentence has a quarter of them; what does not end within them goes round in circles.
_MAX_TOKENS = 256


def caption(pictures: Sequence[Image], engine: Engine, instruction: str = INSTRUCTION) -> list[str | None]:
    """One line a picture, greedy; ``None`` where the model says nothing, or comes to no end.

    Args:
        pictures: Each is captioned alone.
        engine: Engine of any vision-language model.
        instruction: Instruction that the model is given.
    """
    messages = picture_messages(1, instruction)
    requests = [Request(messages=messages, images=(picture,), max_tokens=_MAX_TOKENS) for picture in pictures]
    completions = engine.generate(requests)
    return [(" ".join(each.text.split()) or None) if each.finished else None for each in completions]
