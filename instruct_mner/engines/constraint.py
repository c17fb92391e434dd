"""Logits processor that forbids what a grammar forbids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from instruct_mner.answers.guide import Guide
from instruct_mner.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from instruct_mner.engines.partial_answers import PartialAnswer


class GrammarLogitsProcessor:
    """Logits processor that forbids what the grammars of a batch forbid, and records log-probabilities of the rest.

    vLLM gives these log-probabilities too. Those of forbidden tokens would say nothing of an answer that cannot hold
    them.

    llguidance reports no error by itself: a matcher that has used up its budget "is stopped", as one at the end of
    an answer is. So its error state is read after every mask; the turn then ends, and :attr:`failed` says so.

    Args:
        tokenizer: Tokenizer of llguidance.
        answers: Partial answers of the batch.
        end_tokens: Ids of the tokens that end a turn.

    Raises:
        ModelError: A grammar is not accepted by llguidance.
    """

    def __init__(self, tokenizer: Any, answers: Sequence[PartialAnswer], end_tokens: list[int]) -> None:
        self._guides = [_guide(tokenizer, answer) for answer in answers]
        self._end_tokens = end_tokens
        self._limits = [answer.remaining for answer in answers]
        self._before: Tensor | None = None
        self._logprobs: list[Tensor] = []

    @property
    def failed(self) -> list[bool]:
        """Return for each answer whether its grammar has failed."""
        return [guide is not None and guide.failed for guide in self._guides]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return the scores of the next tokens, ``-inf`` for forbidden ones, ``(batch, vocabulary)``."""
        if self._before is not None:
            self._record(input_ids)
        if any(guide is not None for guide in self._guides):
            size = scores.shape[-1]
            allowed = [
                np.ones(size, dtype=bool) if guide is None else _allowed(guide, size, self._end_tokens)
                for guide in self._guides
            ]
            mask = torch.from_numpy(np.stack(allowed)).to(scores.device)
            scores = scores.masked_fill(~mask, float("-inf"))
        self._before = torch.log_softmax(scores.float(), dim=-1)
        return scores

    def _record(self, sequences: Tensor) -> None:
        assert self._before is not None
        last = sequences[:, -1]
        self._logprobs.append(self._before.gather(1, last[:, None])[:, 0])
        steps = len(self._logprobs)
        for guide, limit, token in zip(self._guides, self._limits, last.tolist(), strict=True):
            # What comes after as many tokens as an answer may have is padding.
            if guide is not None and steps <= limit:
                guide.write(token)

    def finish(self, sequences: Tensor) -> list[list[float]]:
        """Return the log-probability of every token written, ``(batch, steps)``.

        Args:
            sequences: Ids of prompts and answers, ``(batch, tokens)``.
        """
        self._record(sequences)
        return torch.stack(self._logprobs, dim=1).tolist()


def _guide(tokenizer: Any, answer: PartialAnswer) -> Guide | None:
    """Return the guide of an answer, behind the tokens that it has already."""
    if answer.request.grammar is None:
        return None
    guide = Guide(tokenizer, answer.request.grammar, answer.request.rest)
    if guide.failed:
        raise ModelError(f"the answer grammar is not accepted: {guide.matcher.get_error()}")
    for token in answer.tokens:
        guide.write(token)
    return guide


def _allowed(guide: Guide, size: int, end_tokens: list[int]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return what may be written next, ``(vocabulary,)``."""
    row = np.zeros(size, dtype=bool)
    if not guide.matcher.is_stopped():
        bits = np.frombuffer(guide.mask(lambda matcher: matcher.compute_bitmask()), dtype=np.uint8)
        allowed = np.unpackbits(bits, bitorder="little")[:size]
        row[: len(allowed)] = allowed
    if guide.matcher.is_stopped():
        # Nothing may follow a whole answer, and nothing is known to be legal after an error: the turn ends.
        row[:] = False
        row[end_tokens] = True
    return row
