"""Grammar of a request to vLLM that admits no mention more often than it stands in the post; without vLLM itself."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

import numpy as np
from llguidance import LLMatcher
from llguidance.torch import fill_next_token_bitmask

from instruct_mner.answers.guide import Allowed, Guide

if TYPE_CHECKING:
    import torch


class CountingGrammar:
    """Grammar that vLLM asks for bitmasks, with the grammar behind each entity made anew.

    It has the methods of vLLM's ``StructuredOutputGrammar``. Nothing here raises: an error would end vLLM, and with it
    the requests of all others.

    Source: vLLM 0.32, ``v1/structured_output/backend_types.py`` and ``backend_guidance.py``.

    Args:
        guide: Guide of the answer.
        end_token: Token that ends the turn.
    """

    def __init__(self, guide: Guide, end_token: int) -> None:
        self._guide, self._end_token = guide, end_token
        self._terminated = False

    def accept_tokens(self, request_id: str, tokens: list[int]) -> bool:
        """Move on by tokens; false, on which vLLM ends the request with an error, where one may not be written."""
        for token in tokens:
            self._terminated = self._terminated or token == self._end_token
            if not self._guide.write(token):
                return False
        return True

    def validate_tokens(self, tokens: list[int]) -> list[int]:
        """Return the drafts that may be written, at most up to the end of an entity, where the grammar changes.

        Args:
            tokens: Drafts of speculative decoding; behind a negative one is padding.
        """
        matcher = self._guide.matcher
        drafts = list(takewhile(lambda token: token >= 0, tokens))
        if not drafts or matcher.is_stopped():
            return []
        legal = drafts[: matcher.validate_tokens(drafts)]
        ends = (place for place, token in enumerate(legal, start=1) if self._guide.may_end_entity(token))
        end = next(ends, None)
        if end is not None and not self._guide.admits(*legal[:end]):
            end -= 1
        return legal[:end]

    def rollback(self, num_tokens: int) -> None:
        """Take back the last tokens."""
        if num_tokens > 0:
            self._guide.rollback(num_tokens)
            self._terminated = False

    def fill_bitmask(self, bitmask: torch.Tensor, batch_index: int) -> None:
        """Write into a row of the bitmask what may come next: behind a whole answer, the end of the turn alone.

        Args:
            bitmask: One bit for each token, ``(rows, words of 32 bits)``.
            batch_index: The row.
        """

        def fill(matcher: LLMatcher) -> Allowed:
            fill_next_token_bitmask(matcher, bitmask, batch_index)
            return bitmask[batch_index].numpy().view(np.uint8)  # of the same memory

        self._guide.mask(fill)

    def is_terminated(self) -> bool:
        """Return whether the turn has ended."""
        return self._terminated

    def reset(self) -> None:
        """Go back to the beginning of the answer."""
        self._guide.reset()
        self._terminated = False
