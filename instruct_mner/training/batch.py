"""Types of the batches that go from the collator to the trainer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from instruct_mner.training.sample import PromptCompletion

if TYPE_CHECKING:
    from torch import Tensor

Batch = dict[str, "Tensor"]
"""Inputs of a forward: ``input_ids``, ``attention_mask``, ``labels`` and the processor's picture tensors."""

Collate = Callable[[Sequence[PromptCompletion]], Batch]
"""TRL's collator of prompt/completion rows."""

VIEWS = "alignment"
"""Key of the other views in a batch; the trainer takes them out before the model is called."""
