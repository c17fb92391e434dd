"""Alignment objectives: losses that exist in training only, added to the answer loss by the trainer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class AlignmentBatch:
    """What an objective sees of a training batch.

    Attributes:
        states: ``(batch, tokens, width)``, the decoder's last states of the very forward that the answer loss is
            computed from.
        inputs: The batch as the collator made it: ``input_ids``, ``attention_mask``, ``labels`` and the pictures.
    """

    states: Tensor
    inputs: Mapping[str, Tensor]


class Objective(Protocol):
    """One auxiliary loss.

    Attributes:
        name: Prefix of its log lines.
        weight: Its share in the loss.
    """

    name: str
    weight: float

    def __call__(self, batch: AlignmentBatch) -> tuple[Tensor, Mapping[str, float]]:
        """The loss, a mean over the examples of the batch, and named metrics."""
