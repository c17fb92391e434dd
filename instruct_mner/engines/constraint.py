"""Logits processor that forbids what a grammar forbids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from llguidance import LLMatcher

from instruct_mner.engines.engine import Request
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
        self._end_tokens = end_tokens
        self._tokenizer = tokenizer
        self._answers = [_Written(answer.request, list(answer.tokens)) for answer in answers]
        self._matchers = [_matcher(tokenizer, answer) for answer in self._answers]
        self._limits = [answer.remaining for answer in answers]
        self._before: Tensor | None = None
        self._logprobs: list[Tensor] = []

    @property
    def failed(self) -> list[bool]:
        """Return for each answer whether its grammar has failed."""
        return [matcher is not None and matcher.is_error() for matcher in self._matchers]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return the scores of the next tokens, ``-inf`` for forbidden ones, ``(batch, vocabulary)``."""
        if self._before is not None:
            self._record(input_ids)
        if any(matcher is not None for matcher in self._matchers):
            scores = scores.masked_fill(~self._allowed(scores), float("-inf"))
        self._before = torch.log_softmax(scores.float(), dim=-1)
        return scores

    def _record(self, sequences: Tensor) -> None:
        assert self._before is not None
        last = sequences[:, -1]
        self._logprobs.append(self._before.gather(1, last[:, None])[:, 0])
        steps = len(self._logprobs)
        for row, (matcher, limit, token) in enumerate(zip(self._matchers, self._limits, last.tolist(), strict=True)):
            # What comes after as many tokens as an answer may have is padding.
            if matcher is not None and steps <= limit and not matcher.is_stopped():
                matcher.consume_token(token)
                self._answers[row].tokens.append(token)
                further = _behind_a_line(self._tokenizer, self._answers[row])
                if further is not None and not matcher.is_error():
                    self._matchers[row] = further

    def _allowed(self, scores: Tensor) -> Tensor:
        rows = []
        for matcher in self._matchers:
            row = np.full(scores.shape[-1], matcher is None)
            if matcher is not None and not matcher.is_stopped():
                bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
                allowed = np.unpackbits(bits, bitorder="little")[: len(row)]
                row[: len(allowed)] = allowed
            if matcher is not None and matcher.is_stopped():
                # Nothing may follow a whole answer, and nothing is known to be legal after an error: the turn ends.
                row[:] = False
                row[self._end_tokens] = True
            rows.append(row)
        return torch.from_numpy(np.stack(rows)).to(scores.device)

    def finish(self, sequences: Tensor) -> list[list[float]]:
        """Return the log-probability of every token written, ``(batch, steps)``.

        Args:
            sequences: Ids of prompts and answers, ``(batch, tokens)``.
        """
        self._record(sequences)
        return torch.stack(self._logprobs, dim=1).tolist()


@dataclass
class _Written:
    """Answer under a grammar.

    Attributes:
        request: Request that it answers.
        tokens: Ids of its tokens so far.
    """

    request: Request
    tokens: list[int]


def _matcher(tokenizer: Any, answer: _Written) -> Any:
    """Return the matcher of an answer's grammar, behind its tokens; ``None`` where anything is allowed."""
    if answer.request.grammar is None:
        return None
    matcher = LLMatcher(tokenizer, answer.request.grammar, log_level=0)
    if matcher.is_error():
        raise ModelError(f"the answer grammar is not accepted: {matcher.get_error()}")
    # An answer that is continued: behind its last line, its grammar may have been another.
    for number in reversed(range(len(answer.tokens))):
        further = _behind_a_line(tokenizer, _Written(answer.request, answer.tokens[: number + 1]))
        if further is not None:
            further.consume_tokens(answer.tokens[number + 1 :])
            return further
    matcher.consume_tokens(answer.tokens)
    return matcher


def _behind_a_line(tokenizer: Any, answer: _Written) -> Any:
    """Return the matcher of what may follow, where an answer has come to the end of a line and its grammar changes."""
    rest = answer.request.rest
    if rest is None or not tokenizer.decode_bytes(answer.tokens[-1:]).endswith(b"\n"):
        return None
    grammar = rest(tokenizer.decode_bytes(answer.tokens).decode(errors="replace"))
    matcher = None if grammar is None else LLMatcher(tokenizer, grammar, log_level=0)
    return None if matcher is None or matcher.is_error() else matcher
