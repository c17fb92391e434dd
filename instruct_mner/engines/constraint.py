"""Constraint of the answers of a batch: scores of the tokens that their grammars allow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from instruct_mner.answers.guide import Allowed, Guide
from instruct_mner.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from instruct_mner.engines.engine import Request


def guide_of(tokenizer: Any, request: Request) -> Guide | None:
    """Return the guide of the answer to a request; ``None`` where anything is allowed.

    Args:
        tokenizer: Tokenizer of llguidance.
        request: Request.

    Raises:
        ModelError: The grammar is not accepted by llguidance.
    """
    if request.grammar is None:
        return None
    guide = Guide(tokenizer, request.grammar, request.rest)
    if guide.failed:
        raise ModelError(f"the answer grammar is not accepted: {guide.matcher.get_error()}")
    return guide


def constrained(scores: Tensor, guides: Sequence[Guide | None], end_tokens: Sequence[int]) -> Tensor:
    """Return scores of the next tokens, ``-inf`` for those that a grammar forbids, ``(batch, vocabulary)``.

    llguidance reports no error by itself: a matcher that has used up its budget "is stopped", as one at the end of
    an answer is. So its error state is read after every mask; the turn then ends, and :attr:`Guide.failed` says so.

    Args:
        scores: Scores of the next tokens.
        guides: Guide of each answer; ``None`` allows anything.
        end_tokens: Ids of the tokens that end a turn.
    """
    if not any(guides):
        return scores
    size = scores.shape[-1]
    allowed = np.stack([_allowed(guide, size, end_tokens) for guide in guides])
    forbidden = np.unpackbits(~allowed, axis=1, count=size, bitorder="little").view(bool)
    return scores.masked_fill(torch.from_numpy(forbidden).to(scores.device), float("-inf"))


def allowed_tokens(guide: Guide, tokens: Sequence[int], size: int, end_tokens: Sequence[int]) -> Allowed:
    """Return the tokens that a grammar allowed at each token of an answer, ``(tokens, bytes)``, a bit each.

    Args:
        guide: Guide at the beginning of the answer, which is moved to its end.
        tokens: Tokens of the answer, with the one that ends the turn.
        size: Size of the vocabulary.
        end_tokens: Ids of the tokens that end a turn.
    """
    rows = []
    for token in tokens:
        rows.append(_allowed(guide, size, end_tokens))
        if token not in end_tokens:
            guide.write(token)
    return np.stack(rows)


def _allowed(guide: Guide | None, size: int, end_tokens: Sequence[int]) -> Allowed:
    """Return the tokens that may be written next, a bit each in bytes."""
    num_bytes = -(-size // 8)
    if guide is None:
        return np.full(num_bytes, 255, dtype=np.uint8)
    row = np.zeros(num_bytes, dtype=np.uint8)
    if not guide.matcher.is_stopped():
        bits = guide.mask()[:num_bytes]
        row[: len(bits)] = bits
    if guide.matcher.is_stopped():
        # Nothing may follow a whole answer, and nothing is known to be legal after an error: the turn ends.
        row[:] = 0
        for token in end_tokens:
            row[token // 8] |= 1 << token % 8
    if guide.kept is not None:
        guide.kept.append(row)
    return row
