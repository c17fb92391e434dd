"""Generated pictures: a fixed grid of generated image tokens takes the place of a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import torch
from PIL import Image
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.qwen3_vl.modeling_qwen3_vl import BaseModelOutputWithDeepstackFeatures

from instruct_mner.models.loading import LoadedModel

if TYPE_CHECKING:
    from torch import Tensor

_PADDED = {"attention_mask": 0, "labels": -100, "token_type_ids": 0, "mm_token_type_ids": 0}
_SIDE = 32


@lru_cache(maxsize=1)
def blank_picture() -> Image.Image:
    """Return the picture whose tokens are replaced; its size decides how a family writes a picture."""
    return Image.new("RGB", (_SIDE, _SIDE))


def with_grid(
    batch: Mapping[str, Tensor], loaded: LoadedModel, grid: int, *, padding_side: Literal["left", "right"]
) -> dict[str, Tensor]:
    """Return posts of one blank picture each, with ``grid`` x ``grid`` image tokens in its place.

    Args:
        batch: Outputs of the processor for these posts.
        loaded: Model.
        grid: Number of rows and of columns.
        padding_side: Side of the padding.
    """
    names = ["input_ids", *(name for name in _PADDED if name in batch)]
    rows: dict[str, list[Tensor]] = {name: [] for name in names}
    for number, ids in enumerate(batch["input_ids"]):
        real = batch["attention_mask"][number].bool()
        places = (ids[real] == loaded.image_token_id).nonzero()[:, 0]
        first, last = int(places[0]), int(places[-1])
        for name in names:
            values = batch[name][number][real]
            inside = values[first].expand(grid * grid)
            rows[name].append(torch.cat([values[:first], inside, values[last + 1 :]]))
    padding = {"input_ids": loaded.tokenizer.pad_token_id, **_PADDED}
    padded = {
        name: torch.nn.utils.rnn.pad_sequence(
            rows[name], batch_first=True, padding_value=padding[name], padding_side=padding_side
        )
        for name in names
    }
    return {**padded, **loaded.family.grid_inputs(loaded.processor, len(batch["input_ids"]), grid, grid)}


def num_features(loaded: LoadedModel) -> int:
    """Return the number of features of an image token: its embedding, and the additions of DeepStack."""
    config = loaded.model.config
    return int(config.get_text_config().hidden_size) * (1 + loaded.family.num_deepstack(config))


def encoder_outputs(loaded: LoadedModel, pictures: Sequence[Tensor] | Tensor) -> dict[str, BaseModelOutputWithPooling]:
    """Return pictures in the form of a vision tower's output: ``mm_encoder_outputs`` of a forward.

    Args:
        loaded: Model.
        pictures: Features of the pictures, ``(cells, features)`` each.
    """
    width = int(loaded.model.config.get_text_config().hidden_size)
    parts = [torch.split(picture, width, dim=-1) for picture in pictures]
    embeddings, *deepstack = zip(*parts, strict=True)
    first: Any = embeddings if loaded.family.splits_pictures else torch.stack(embeddings)
    if not deepstack:
        return {"image": BaseModelOutputWithPooling(pooler_output=first)}
    return {"image": BaseModelOutputWithDeepstackFeatures(pooler_output=first, deepstack_features=deepstack)}
