"""Copying of weights from another starter, so that a build trains only what is new."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.starter_training.architecture import PATCH_SIZE
from instruct_mner.synthetic.scene import GRIDS, SIZES

if TYPE_CHECKING:
    from torch import Tensor

_POSITIONS = "model.vision_model.embeddings.position_embedding.weight"
_DECODER = "model.text_model."
_VISION = ("model.vision_model.", "model.connector.")
_PATCHES_PER_CELL = SIZES[0] // GRIDS[0] // PATCH_SIZE


def take_everything(model: Any, folder: Path) -> None:
    """Copy all weights of a model of level 0; positions of patches are spread over the larger picture."""
    tensors = _weights(folder)
    tensors[_POSITIONS] = spread(tensors[_POSITIONS])
    model.load_state_dict(tensors, strict=False)


def take_decoder(model: Any, folder: Path) -> None:
    """Copy the decoder of a model of level 0, and leave the vision tower."""
    tensors = {name: tensor for name, tensor in _weights(folder).items() if name.startswith(_DECODER)}
    model.load_state_dict(tensors, strict=False)


def take_vision(model: Any, folder: Path) -> None:
    """Copy vision tower and connector of a model of the same level, and leave the decoder."""
    tensors = {name: tensor for name, tensor in _weights(folder).items() if name.startswith(_VISION)}
    model.load_state_dict(tensors, strict=False)


def take_vision_tower(model: Any, folder: Path) -> None:
    """Copy the vision tower of a model of the same level, and leave connector and decoder."""
    tensors = {name: tensor for name, tensor in _weights(folder).items() if name.startswith(_VISION[0])}
    model.load_state_dict(tensors, strict=False)


def spread(positions: Tensor) -> Tensor:
    """Return the position embeddings for three by three cells, from those for two by two cells of the same size.

    Cells at a border have those of the same border, cells between two the mean of both.

    Args:
        positions: Position embeddings row by row, ``(64, width)``.

    Returns:
        Position embeddings, ``(144, width)``.
    """
    import torch

    size, grid = _PATCHES_PER_CELL, GRIDS[0]
    cells = positions.reshape(grid, size, grid, size, -1)
    rows = torch.stack([cells[0], cells.mean(0), cells[1]])
    wide = torch.stack([rows[:, :, 0], rows.mean(2), rows[:, :, 1]], dim=2)
    return wide.reshape(-1, positions.shape[-1])


def _weights(folder: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")
