"""Batches that processes of their own make."""

from __future__ import annotations

import pytest
from runs import aligned_run, trainer_of


def losses(model, folder, workers: int) -> list[float]:
    run = aligned_run(
        model,
        folder,
        {"cross_view": {}, "generative": {"width": 16, "grid": 2, "generated_share": 1.0}},
        lora={"rank": 8, "dropout": 0.1},
        augmentation={"drop_picture": 0.3, "shuffle_labels": 1.0},
        optimizer={"batch_size": 3, "max_steps": 5, "loader_workers": workers},
    )
    trainer = trainer_of(run)
    trainer.args.save_strategy = "no"
    trainer.train()
    return [line["loss"] for line in trainer.state.log_history if "loss" in line]


def test_losses_are_the_same(tiny_models, tmp_path) -> None:
    """Over three epochs, in each of which posts are changed in another way."""
    model = tiny_models("idefics3")
    expected = losses(model, tmp_path / "none", 0)
    assert len(expected) == 5
    assert losses(model, tmp_path / "two", 2) == expected
    assert expected[0] != pytest.approx(expected[2], rel=1e-6)
