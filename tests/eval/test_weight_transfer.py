"""What a starter of level 1 takes over from one of level 0."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from eval.starter_training.architecture import PATCH_SIZE, build_model, build_processor
from eval.starter_training.weight_transfer import spread, take_decoder, take_everything
from instruct_mner.models.locations import STARTER_FOLDER
from instruct_mner.synthetic.scene import GRIDS, SIZES


def test_positions_are_spread_cell_by_cell() -> None:
    sides = [SIZES[level] // PATCH_SIZE for level in (0, 1)]
    cell = sides[0] // GRIDS[0]
    positions = torch.randn(sides[0] ** 2, 3)
    before, after = positions.reshape(sides[0], sides[0], 3), spread(positions).reshape(sides[1], sides[1], 3)
    sources = {0: (0,), 1: (0, 1), 2: (1,)}
    for row in range(sides[1]):
        for column in range(sides[1]):
            sources_of_cell = [
                before[up * cell + row % cell, left * cell + column % cell]
                for up in sources[row // cell]
                for left in sources[column // cell]
            ]
            torch.testing.assert_close(after[row, column], torch.stack(sources_of_cell).mean(0))


def test_vision_tower_and_decoder_are_copied(tmp_path: Path) -> None:
    model = build_model(build_processor(1).tokenizer, level=1)
    old = load_file(STARTER_FOLDER / "model.safetensors")
    take_everything(model, STARTER_FOLDER)
    taken = model.state_dict()
    positions = "model.vision_model.embeddings.position_embedding.weight"
    for name, tensor in old.items():
        torch.testing.assert_close(taken[name], (spread(tensor) if name == positions else tensor).float())

    save_file({name: torch.zeros_like(tensor) for name, tensor in old.items()}, tmp_path / "model.safetensors")
    take_decoder(model, tmp_path)
    for name, tensor in model.state_dict().items():
        is_decoder = name.startswith(("model.text_model.", "lm_head."))
        assert bool((tensor == 0).all()) == is_decoder or not tensor.any(), name
