"""TRL's SFTTrainer with a place for auxiliary losses, and an evaluation that tags; all that is known of TRL's inside.

Without objectives it is SFTTrainer itself, to the last bit of the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerControl
from trl import SFTConfig, SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

from instruct_mner.alignment import AlignmentBatch, Objective
from instruct_mner.training.checkpoints import COMPLETE
from instruct_mner.training.config import FinetuneConfig

DevEvaluation = Callable[[], dict[str, float]]


class MnerTrainer(SFTTrainer):  # type: ignore[misc]
    """SFTTrainer with auxiliary losses on the decoder's states.

    Args:
        decoder_path: The decoder inside the base model.
        objectives: Auxiliary losses; none of them is plain fine-tuning.
        dev_evaluation: Tags the dev subset and returns scores by name.
        **arguments: Those of SFTTrainer.
    """

    def __init__(
        self,
        *,
        decoder_path: str,
        objectives: Sequence[Objective] = (),
        dev_evaluation: DevEvaluation | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self._decoder_path = decoder_path
        self._objectives = tuple(objectives)
        self._dev_evaluation = dev_evaluation

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The answer loss, plus every objective's.

        The states come from a hook on the decoder: ``super().compute_loss(…, return_outputs=True)`` would return
        those of a second forward without gradient, on which an auxiliary loss trains nothing.
        """
        if not self._objectives or not model.training:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        with self._decoder_states(model) as states:
            loss = super().compute_loss(model, inputs, num_items_in_batch=num_items_in_batch)
        batch = AlignmentBatch(states=states[0], inputs=inputs)
        # Source: SFTTrainer's own auxiliary loss: with `num_items_in_batch`, Trainer leaves the division by the
        # accumulation steps to the loss, because the answer loss is already a sum over all of them.
        steps = self.current_gradient_accumulation_steps if num_items_in_batch is not None else 1
        for objective in self._objectives:
            value, metrics = objective(batch)
            loss = loss + objective.weight * value / steps
            self._metrics["train"][f"{objective.name}/loss"].append(value.item())
            for name, metric in metrics.items():
                self._metrics["train"][f"{objective.name}/{name}"].append(metric)
        return loss

    @contextmanager
    def _decoder_states(self, model: nn.Module) -> Iterator[list[Tensor]]:
        """Collects the decoder's last states of the forwards inside the block."""
        unwrapped = self.accelerator.unwrap_model(model)
        base = unwrapped.get_base_model() if hasattr(unwrapped, "get_base_model") else unwrapped
        states: list[Tensor] = []
        handle = base.get_submodule(self._decoder_path).register_forward_hook(
            lambda module, arguments, output: states.append(output.last_hidden_state)
        )
        try:
            yield states
        finally:
            handle.remove()

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Tags the dev subset; its scores are logged and choose the checkpoint."""
        if self._dev_evaluation is None:
            return super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)  # type: ignore[no-any-return]
        # In evaluation mode `log` leaves the running averages of training alone.
        self.model.eval()
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in self._dev_evaluation().items()}
        self.log(dict(metrics))
        self.control: TrainerControl = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        # SFTTrainer's own would write TRL's model card beside every checkpoint; the run folder has one of ours.
        super(SFTTrainer, self)._save_checkpoint(model, trial)
        if self.args.should_save:
            (Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}" / COMPLETE).touch()


def prompt_completion_collator(processor: Any) -> Callable[[list[dict[str, Any]]], dict[str, Any]]:
    """TRL's collator of prompt/completion rows with pictures.

    ``max_length=None``: its default of 1024 would cut through image tokens.
    """
    return DataCollatorForVisionLanguageModeling(  # type: ignore[no-any-return]
        processor=processor, max_length=None, completion_only_loss=True
    )


def sft_config(
    config: FinetuneConfig, checkpoints: Path, *, chooses_by: str | None, mixed_precision: bool
) -> SFTConfig:
    """TRL's arguments for a run.

    Args:
        config: The run.
        checkpoints: Folder of its checkpoints.
        chooses_by: The dev score that chooses the checkpoint, where there is a dev subset.
        mixed_precision: Whether forwards run in bfloat16.
    """
    optimizer, every = config.optimizer, config.evaluation.every_steps
    strategy = "steps" if every else "epoch"
    return SFTConfig(
        output_dir=str(checkpoints),
        num_train_epochs=optimizer.epochs,
        max_steps=optimizer.max_steps or -1,
        per_device_train_batch_size=optimizer.batch_size,
        gradient_accumulation_steps=optimizer.gradient_accumulation_steps,
        learning_rate=config.learning_rate,
        lr_scheduler_type=optimizer.scheduler,
        warmup_steps=optimizer.warmup_steps,
        weight_decay=optimizer.weight_decay,
        max_grad_norm=optimizer.max_grad_norm,
        gradient_checkpointing=optimizer.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False} if optimizer.gradient_checkpointing else None,
        seed=config.seed,
        data_seed=config.seed,
        bf16=mixed_precision,
        logging_steps=1,
        logging_first_step=True,
        eval_strategy=strategy if chooses_by else "no",
        eval_steps=every,
        save_strategy=strategy,
        save_steps=every or 500,
        # The one before is kept until the newest is complete.
        save_total_limit=2,
        load_best_model_at_end=chooses_by is not None,
        metric_for_best_model=chooses_by and f"eval_{chooses_by}",
        greater_is_better=True if chooses_by else None,
        disable_tqdm=True,
        report_to="none",
        # Frozen parameters are not waited for; of a whole model, a batch without pictures leaves the vision tower out.
        ddp_find_unused_parameters=config.tuning == "full",
        # Our rows are indices: the columns that TRL knows are made by the collator.
        remove_unused_columns=False,
        max_length=None,
        completion_only_loss=True,
        dataloader_pin_memory=torch.cuda.is_available(),
    )
