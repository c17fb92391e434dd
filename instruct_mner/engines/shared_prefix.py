"""Prefix that all questions of a batch share, computed once."""

from __future__ import annotations

from typing import Any

import torch

from instruct_mner.models.prefix_sharing import num_shared


def padded_after_beginning(inputs: Any, image_token_id: int, pad_token_id: int) -> int:
    """Move the padding of questions behind the prefix that they share, so that it is computed once for all.

    Args:
        inputs: Output of the processor for the questions, padded on the left; changed in place. Tensors of the shape
            of the ids are moved with them.
        image_token_id: Id of an image token.
        pad_token_id: Id of padding.

    Returns:
        Number of tokens that they share; 0, and nothing is moved, where it is not worth it.
    """
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    columns = torch.arange(ids.shape[1])
    padding = (mask == 0).sum(dim=1, keepdim=True)
    unpadded = ids.gather(1, (columns + padding).clamp(max=ids.shape[1] - 1))
    # Of the shortest question something is left over.
    shared = min(num_shared(unpadded, image_token_id), int(mask.sum(dim=1).min()) - 1)
    if not shared:
        return 0
    beginning = columns < shared
    moved = (columns < shared + padding) & ~beginning
    for name, values in inputs.items():
        if isinstance(values, torch.Tensor) and values.shape == ids.shape:
            first, padded = {"input_ids": (unpadded, pad_token_id), "attention_mask": (1, 0)}.get(name, (0, 0))
            inputs[name] = torch.where(beginning, first, values).masked_fill(moved, padded)
    return shared
