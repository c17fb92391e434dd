"""A logits processor that forbids what a grammar forbids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from llguidance import LLMatcher

from instruct_mner.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from instruct_mner.engines.partial_answers import PartialAnswer


class Guided:
    """A logits processor that forbids what the grammar forbids, and notes log-probabilities of what is left.

    These are what vLLM gives too; what forbidden tokens would have had says nothing of an answer that cannot hold them.

    Args:
        guide: The tokenizer, as llguidance sees it.
        answers: The answers of the batch, as far as they are written.
        end_tokens: Those that end a turn.

    Raises:
        ModelError: A grammar is not accepted by llguidance.
    """

    def __init__(self, guide: Any, answers: Sequence[PartialAnswer], end_tokens: list[int]) -> None:
        self._end_tokens = end_tokens
        self._matchers = [_matcher(guide, answer) for answer in answers]
        self._limits = [answer.remaining for answer in answers]
        self._before: Tensor | None = None
        self._logprobs: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """The scores of the next tokens, ``-inf`` where one is forbidden, ``(batch, vocabulary)``."""
        if self._before is not None:
            self._note(input_ids)
        if any(matcher is not None for matcher in self._matchers):
            scores = scores.masked_fill(~self._allowed(scores), float("-inf"))
        self._before = torch.log_softmax(scores.float(), dim=-1)
        return scores

    def _note(self, sequences: Tensor) -> None:
        assert self._before is not None
        last = sequences[:, -1]
        self._logprobs.append(self._before.gather(1, last[:, None])[:, 0])
        steps = len(self._logprobs)
        for matcher, limit, token in zip(self._matchers, self._limits, last.tolist(), strict=True):
            # What comes after as many tokens as an answer may have is padding.
            if matcher is not None and steps <= limit and not matcher.is_stopped():
                matcher.consume_token(token)

    def _allowed(self, scores: Tensor) -> Tensor:
        rows = []
        for matcher in self._matchers:
            row = np.full(scores.shape[-1], matcher is None)
            if matcher is not None and matcher.is_stopped():
                # Nothing may follow a complete answer, so the matcher has stopped by itself: the turn ends.
                row[self._end_tokens] = True
            elif matcher is not None:
                bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
                allowed = np.unpackbits(bits, bitorder="little")[: len(row)]
                row[: len(allowed)] = allowed
            rows.append(row)
        return torch.from_numpy(np.stack(rows)).to(scores.device)

    def finish(self, sequences: Tensor) -> list[list[float]]:
        """The log-probability of every token written, ``(batch, steps)``."""
        self._note(sequences)
        return torch.stack(self._logprobs, dim=1).tolist()


def _matcher(guide: Any, answer: PartialAnswer) -> Any:
    """What follows a answer's grammar from where it stands; ``None`` where anything is allowed."""
    if answer.request.grammar is None:
        return None
    matcher = LLMatcher(guide, answer.request.grammar)
    if matcher.is_error():
        raise ModelError(f"the answer grammar is not accepted: {matcher.get_error()}")
    matcher.consume_tokens(answer.tokens)
    return matcher
