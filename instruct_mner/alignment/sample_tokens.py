"""Positions in the tokens of a sample: mentions, words, answer, and regions of the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

TokenSpan = tuple[int, int]
"""First and last token."""


@dataclass(frozen=True, kw_only=True)
class MentionTokens:
    """Tokens of an entity in one view.

    Attributes:
        type: Index of the entity's label in the label set of the run.
        span: Tokens of the mention in the post.
        words: First and last word of the mention in the post.
        label: Tokens of the label in the answer.
        written: Tokens of the mention in the answer.
        regions: Indices of the post's image tokens that lie on a box of the entity: ``()`` = annotated as not
            visible, ``None`` = not annotated.
    """

    type: int
    span: TokenSpan
    words: tuple[int, int]
    label: TokenSpan
    written: TokenSpan
    regions: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class SampleTokens:
    """Tokens of one post in one view.

    Attributes:
        key: Key of the post's random numbers: seed, epoch and id.
        post: Tokens of the text; ``None`` where the text was not found.
        words: Tokens of each word of the text.
        mentions: Entities in text order.
        left_out: First and last word of each other entity: its type is left out of the label set of this epoch, or it
            was not found in the tokens.
        content: Answer tokens that carry content: labels and mentions, or the word for none.
        image_boxes: Boxes of the post's image tokens, ``(image_tokens, 4)``, in 0..1 of their picture.
        picture: Hash of the post's pictures, from 1; 0 where there are none, or where it is not known.
        is_lost: Whether text or answer were not found in the tokens.
        lost_mentions: Number of entities whose mention or label was not found in the tokens.
    """

    key: str
    post: TokenSpan | None = None
    words: tuple[TokenSpan, ...] = ()
    mentions: tuple[MentionTokens, ...] = ()
    left_out: tuple[tuple[int, int], ...] = ()
    content: tuple[int, ...] = ()
    image_boxes: Tensor | None = None
    picture: int = 0
    is_lost: bool = False
    lost_mentions: int = 0

    def around(self, mention: MentionTokens) -> TokenSpan:
        """Return first and last token between the entities before and after a mention."""
        if self.post is None:
            return mention.span
        first, last = self.post
        others = [each.span for each in self.mentions]
        others += [(self.words[begin][0], self.words[end][1]) for begin, end in self.left_out]
        before = [end + 1 for _, end in others if end < mention.span[0]]
        after = [begin - 1 for begin, _ in others if begin > mention.span[1]]
        return max([first, *before]), min([last, *after])
