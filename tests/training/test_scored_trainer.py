"""The part that all trainers here share."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from torch import nn

from instruct_mner.training.checkpoints import COMPLETE
from instruct_mner.training.scored_trainer import ScoredTrainer


class Trainer(ScoredTrainer):
    """A trainer that writes a file where a checkpoint would be."""

    def __init__(self, folder: Path, *, writes: bool) -> None:
        self.args: Any = SimpleNamespace(should_save=writes, output_dir=str(folder))
        self.state: Any = SimpleNamespace(global_step=7, best_global_step=None)
        self.accelerator: Any = SimpleNamespace(wait_for_everyone=lambda: None)
        self.model: Any = nn.Linear(2, 2)


def test_a_checkpoint_is_marked_when_all_of_it_is_there(tmp_path) -> None:
    folder = tmp_path / "checkpoint-7"
    written = []

    def save() -> None:
        folder.mkdir()
        written.append("checkpoint")

    def beside(place: Path) -> None:
        assert not (place / COMPLETE).exists()
        written.append(place.name)

    Trainer(tmp_path, writes=True).save_complete_checkpoint(save, beside)
    assert written == ["checkpoint", "checkpoint-7"]
    assert (folder / COMPLETE).is_file()


def test_a_process_that_does_not_write_marks_nothing(tmp_path) -> None:
    Trainer(tmp_path, writes=False).save_complete_checkpoint(lambda: None)
    assert not any(tmp_path.iterdir())


def test_nothing_is_taken_out_where_a_trainer_adds_nothing(tmp_path) -> None:
    with Trainer(tmp_path, writes=True).without_heads():
        pass
