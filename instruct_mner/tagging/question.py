"""How a model is asked: as its manifest says where it was tuned, else for JSON, with or without examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from instruct_mner.answers import AnswerSpec
from instruct_mner.errors import ConfigError
from instruct_mner.schema.records import Example

if TYPE_CHECKING:
    from PIL.Image import Image

    from instruct_mner.engines.engine import Request


@dataclass(frozen=True)
class Question:
    """What an engine is asked on one post, with all that is needed to read the answer.

    Attributes:
        example: The post.
        images: The pictures that the model is shown.
        text: The text as the model is shown it.
        spec: What it is asked for on this post.
        request: The question itself.
    """

    example: Example
    images: tuple[Image, ...]
    text: str
    spec: AnswerSpec
    request: Request


def max_answer_tokens(spec: AnswerSpec, text: str, count_tokens: Callable[[str], int]) -> int:
    """Where an answer is cut: the cap of entities, each with label, separators and box, and the text twice.

    Mentions do not overlap, so that all of them together are hardly longer than the text; a model that repeats
    itself is cut, and the cut is counted as malformed.
    """
    written = spec.in_format()
    frame = max(count_tokens(written.frame(name)) for name in spec.labels.names)
    return spec.capacity(text) * frame + 2 * count_tokens(written.spelled(text)) + 8


def checked_labels(spec: AnswerSpec, special_tokens: Sequence[str]) -> AnswerSpec:
    """The spec, unless a label or definition holds a special token of the model.

    Raises:
        ConfigError: One does; it would end the turn or count as a picture.
    """
    for label in spec.labels.each():
        for token in special_tokens:
            if token in label.name or token in (label.definition or ""):
                raise ConfigError(f"label '{label.name}' holds {token!r}, a special token of this model; rename it")
    return spec
