"""Where things stand in the tokens of a post: mentions, words, answer, regions of the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

TokenSpan = tuple[int, int]
"""First and last token."""


@dataclass(frozen=True)
class MentionTokens:
    """An entity in the tokens of a view.

    Attributes:
        type: Index of its label in the label set of the run.
        span: Its tokens in the post.
        words: Its first and last word of the post.
        label: The tokens of its label in the answer.
        written: Its tokens in the answer.
        regions: Which of the post's image tokens look at one of its boxes: ``()`` = annotated as not visible,
            ``None`` = not annotated.
    """

    type: int
    span: TokenSpan
    words: tuple[int, int]
    label: TokenSpan
    written: TokenSpan
    regions: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Row:
    """One post in the tokens of a view.

    Attributes:
        key: Names its random numbers: seed, epoch and id.
        post: Tokens of the text; ``None`` where it was not found.
        words: Tokens of each word of the text.
        mentions: The entities, in text order.
        content: Answer tokens that carry content: labels and mentions, or the word for none.
        image_boxes: ``(image_tokens, 4)``, where each of the post's image tokens looks, in 0..1 of its picture.
    """

    key: str
    post: TokenSpan | None
    words: tuple[TokenSpan, ...] = ()
    mentions: tuple[MentionTokens, ...] = ()
    content: tuple[int, ...] = ()
    image_boxes: Tensor | None = None
