"""Part of the trainers of TRL that all runs here share: scores on dev, complete checkpoints, and no telemetry."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from transformers import TrainerState

from instruct_mner.console import working
from instruct_mner.training.checkpoints import checkpoint_of, mark_complete, remove_old
from instruct_mner.training.divergence import check_step, check_weights
from instruct_mner.training.sharding import is_sharded

if TYPE_CHECKING:
    from accelerate import Accelerator
    from datasets import Dataset as Rows
    from torch import nn
    from transformers import PreTrainedModel, TrainerControl, TrainingArguments
    from transformers.trainer_callback import CallbackHandler

DevEvaluation = Callable[[], dict[str, float]]


class ScoredTrainer:
    """Mixin for trainers of TRL; it stands before them among the bases."""

    dev_evaluation: DevEvaluation | None = None
    control: TrainerControl
    model: PreTrainedModel
    args: TrainingArguments
    state: TrainerState
    callback_handler: CallbackHandler
    accelerator: Accelerator

    def _send_telemetry(self) -> None:
        """Send nothing; TRL's own reports every trainer to the hub."""

    def evaluate(
        self, eval_dataset: Rows | None = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Tag the dev subset; its scores are logged and choose the checkpoint."""
        if self.dev_evaluation is None:
            return super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)  # type: ignore[no-any-return,misc]
        check_weights(self.model, self.state.global_step, Path(self.args.output_dir))
        # In evaluation mode `log` leaves the running averages of training alone.
        self.model.eval()
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in self.dev_evaluation().items()}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log values, and end a training whose loss or gradient is no finite number."""
        if "train_loss" in logs:
            # Trainer's mean is that of the steps since the run was resumed.
            losses = [line["loss"] for line in self.state.log_history if "loss" in line]
            logs["train_loss"] = sum(losses) / max(1, len(losses))
        super().log(logs, start_time)  # type: ignore[misc]
        # Under float16 a step whose gradient overflows is left out, and the next ones are scaled by less.
        left_out = {"grad_norm"} if self.accelerator.optimizer_step_was_skipped else set()
        looked_at = {name: value for name, value in logs.items() if name not in left_out}
        check_step(looked_at, self.state.global_step, Path(self.args.output_dir))

    def without_heads(self) -> AbstractContextManager[None]:
        """Take what is not served out of the model in the block: nothing, where a trainer adds nothing."""
        return nullcontext()

    def save_complete_checkpoint(self, save: Callable[[], None], beside: Callable[[Path], None] | None = None) -> None:
        """Write a checkpoint, mark it as complete, and remove those that are needed no more.

        Args:
            save: Function that writes the checkpoint of transformers, without TRL's model card.
            beside: Function that writes more into the folder.

        Raises:
            ConfigError: The training has diverged.
        """
        check_weights(self.model, self.state.global_step, Path(self.args.output_dir))
        with working("writing a checkpoint"):
            save()
            # Each process writes files of its own.
            self.accelerator.wait_for_everyone()
        if self.args.should_save:
            folder = checkpoint_of(Path(self.args.output_dir), self.state.global_step)
            if beside is not None:
                beside(folder)
            mark_complete(folder)
            remove_old(folder, self.state.best_global_step)

    def take_up_finished(self, checkpoint: Path) -> bool:
        """Load the weights that a run ends with, if the checkpoint is that of its last step; else return false.

        ``Trainer.train`` would make one more step from there, where that step is not the last of an epoch; with weights
        in parts it does.

        Args:
            checkpoint: Folder of a complete checkpoint.
        """
        state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
        if state.global_step < state.max_steps or is_sharded():
            return False
        self.state = state
        self._load_from_checkpoint(str(checkpoint))
        if self.args.load_best_model_at_end and state.best_model_checkpoint is not None:
            self._load_best_model()
        return True

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)  # type: ignore[misc]
        # Source: trl 1.16 counts the tokens of SFTTrainer from 0; can go when their number is in a checkpoint.
        history = TrainerState.load_from_json(str(Path(resume_from_checkpoint) / "trainer_state.json")).log_history
        counts = (line["num_tokens"] for line in reversed(history) if "num_tokens" in line)
        self._total_train_tokens = int(next(counts, 0))

    def _load_best_model(self) -> None:
        # The state holds the path of the place where it was written, and a run may be moved.
        assert self.state.best_global_step is not None
        best = checkpoint_of(Path(self.args.output_dir), self.state.best_global_step)
        self.state.best_model_checkpoint = str(best)
        super()._load_best_model()  # type: ignore[misc]
