"""Partial answers: batches that stop when few are unfinished, and answers that are continued."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from instruct_mner.engines.engine import Request

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class PartialAnswer:
    """Answer that is not written to its end.

    Attributes:
        request: Request that it answers.
        tokens: Ids of its tokens, without the one that ends the turn.
        logprobs: Log-probability of each token.
        ended: Whether the turn was ended.
        failed: Whether its grammar has failed, so that it is no whole answer although the turn was ended.
    """

    request: Request
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    ended: bool = False
    failed: bool = False

    @property
    def remaining(self) -> int:
        """Number of tokens that it may still have."""
        return self.request.max_tokens - len(self.tokens)

    @property
    def finished(self) -> bool:
        """True where the answer is complete or cut."""
        return self.ended or self.remaining <= 0

    def length(self) -> tuple[int, int]:
        """Return the numbers of pictures and of characters; answers to questions of similar length share a batch."""
        parts = [part["text"] for message in self.request.messages for part in message["content"] if "text" in part]
        return len(self.request.images), sum(map(len, parts))

    def write(self, tokens: Sequence[int], logprobs: Sequence[float], end_tokens: Sequence[int]) -> None:
        """Add tokens, up to the one that ends the turn.

        Args:
            tokens: Ids; what comes after the end, or after as many as it may have, is padding.
            logprobs: Log-probability of each.
            end_tokens: Tokens that end the turn.
        """
        own = list(tokens[: self.remaining])
        end = next((place for place, token in enumerate(own) if token in end_tokens), None)
        self.ended = end is not None
        self.tokens += own[:end]
        self.logprobs += logprobs[: len(own)][:end]


class FewUnfinished:
    """Stopping criterion: a batch stops when few of its answers are unfinished, an answer when it is long enough.

    Args:
        answers: Answers of the batch.
        end_tokens: Tokens that end a turn.
        few: Number of answers that may be unfinished.
    """

    def __init__(self, answers: Sequence[PartialAnswer], end_tokens: Sequence[int], few: int) -> None:
        self._limits = [answer.remaining for answer in answers]
        self._end_tokens = list(end_tokens)
        self._few = few
        self._steps = 0
        self._done: Tensor | None = None

    def __call__(self, input_ids: Tensor, scores: Any, **named: Any) -> Tensor:
        """Return the rows that are to stop, ``(batch,)``."""
        self._steps += 1
        device = input_ids.device
        ended = torch.isin(input_ids[:, -1], torch.tensor(self._end_tokens, device=device))
        done = ended | torch.tensor([limit <= self._steps for limit in self._limits], device=device)
        self._done = done if self._done is None else self._done | done
        return torch.ones_like(done) if int((~self._done).sum()) <= self._few else self._done


def continued(inputs: Any, answers: Sequence[PartialAnswer], pad_token_id: int) -> Any:
    """Return questions with the beginnings of their answers, padded on the left again.

    Args:
        inputs: Output of the processor for the questions, padded on the left; tensors of the shape of the ids are
            continued with them.
        answers: The answers.
        pad_token_id: Id of padding.
    """
    if not any(answer.tokens for answer in answers):
        return inputs
    mask, shape = inputs["attention_mask"].bool(), inputs["input_ids"].shape
    for name, values in inputs.items():
        if isinstance(values, torch.Tensor) and values.shape == shape:
            rows = [
                torch.cat([row[own], row.new_tensor(_written(name, answer))])
                for row, own, answer in zip(values, mask, answers, strict=True)
            ]
            padding = pad_token_id if name == "input_ids" else 0
            inputs[name] = torch.nn.utils.rnn.pad_sequence(
                rows, batch_first=True, padding_value=padding, padding_side="left"
            )
    return inputs


def _written(name: str, answer: PartialAnswer) -> list[int]:
    """Return the values of one of the processor's outputs for the tokens of an answer."""
    if name == "input_ids":
        return answer.tokens
    # Answers are text, which is 0 wherever kinds of tokens are told apart.
    return [1 if name == "attention_mask" else 0] * len(answer.tokens)
