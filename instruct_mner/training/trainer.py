"""TRL's SFTTrainer with alignment objectives and an evaluation that tags; all that is known of TRL's inside.

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

from instruct_mner.alignment.build import together
from instruct_mner.alignment.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from instruct_mner.alignment.objective import Objective
from instruct_mner.models.loading import LoadedModel
from instruct_mner.models.prefix_sharing import make_lean
from instruct_mner.training.checkpoints import COMPLETE
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.forwards import Forwards
from instruct_mner.training.length_grouping import LikeLengths
from instruct_mner.training.sample import VIEWS

DevEvaluation = Callable[[], dict[str, float]]

# Where the model carries what the objectives learn.
_HEADS = "alignment_heads"


class MnerTrainer(SFTTrainer):  # type: ignore[misc]
    """SFTTrainer with auxiliary losses on the decoder's states.

    Args:
        loaded: The base model, its family and its processor.
        objectives: Auxiliary losses; none of them is plain fine-tuning. What they learn is attached to the model, so
            that processes agree on it, and saved beside checkpoints, never with the weights.
        head_learning_rate: Of what they learn; ``None`` is that of the run.
        lengths: Of the posts, where those of like length are to share a batch.
        lean: Whether the model is made lean, see ``models.lean``.
        dev_evaluation: Tags the dev subset and returns scores by name.
        **arguments: Those of SFTTrainer.
    """

    def __init__(
        self,
        *,
        loaded: LoadedModel,
        objectives: Sequence[Objective] = (),
        head_learning_rate: float | None = None,
        lengths: Sequence[int] | None = None,
        lean: bool = False,
        dev_evaluation: DevEvaluation | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self._dev_evaluation = dev_evaluation
        self._objectives = tuple(objectives)
        self._head_learning_rate = head_learning_rate
        self._lengths = lengths
        self.heads: nn.ModuleDict | None = None
        modules = {each.name: each for each in objectives if isinstance(each, nn.Module)}
        if modules:
            self.heads = nn.ModuleDict(modules).to(self.accelerator.device)
            self.model.add_module(_HEADS, self.heads)
        unwrapped = self.accelerator.unwrap_model(self.model)
        base = unwrapped.get_base_model() if hasattr(unwrapped, "get_base_model") else unwrapped
        self._forwards = Forwards(base, loaded, together(objectives), self.accelerator.autocast, lean=lean)
        if lean:
            make_lean(unwrapped, self._forwards.decoder)
            _score_answers_alone(self.accelerator.device)

    def _send_telemetry(self) -> None:
        """Nothing is told to anybody: TRL would tell the hub of every trainer that is made."""

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
        views = inputs.pop(VIEWS, {})
        if not self._objectives or not model.training:
            with self._forwards.leanly(inputs):
                return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        with self._forwards.image() as found, self._forwards.leanly(inputs):
            loss = super().compute_loss(model, inputs, num_items_in_batch=num_items_in_batch)
        # Source: SFTTrainer's own auxiliary loss: with `num_items_in_batch`, Trainer leaves the division by the
        # accumulation steps to the loss, because the answer loss is already a sum over all of them.
        steps = self.current_gradient_accumulation_steps if num_items_in_batch is not None else 1
        # What is logged as the loss is all of it together.
        self._metrics["train"]["answer_loss"].append(loss.item() * steps)
        num_tokens = self._num_tokens(inputs, num_items_in_batch, steps)
        batch = self._forwards.batch(found, inputs, views, num_tokens)
        for objective in self._objectives:
            value, metrics = objective(batch)
            loss = loss + self._weight(objective) * value / steps
            self._metrics["train"][f"{objective.name}/loss"].append(value.item())
            for name, metric in metrics.items():
                self._metrics["train"][f"{objective.name}/{name}"].append(metric)
        if self.heads is not None and self.accelerator.num_processes > 1:
            # Processes wait for each other's gradient of every parameter, also where a batch had no use for it.
            loss = loss + sum((parameter.sum() * 0 for parameter in self.heads.parameters()), torch.zeros(()).to(loss))
        return loss

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self._lengths is None:
            return super()._get_train_sampler(train_dataset)
        batch_size = self.args.per_device_train_batch_size * self.accelerator.num_processes
        return LikeLengths(self._lengths, batch_size, self.args.data_seed or 0)

    def _weight(self, objective: Objective) -> float:
        """Its weight in this step."""
        grown = (self.state.global_step + 1) / objective.warmup_steps if objective.warmup_steps else 1.0
        return objective.weight * min(1.0, grown)

    def _num_tokens(self, inputs: dict[str, Any], num_items: Tensor | int | None, steps: int) -> float:
        """What a sum over the answer tokens of one forward is divided by, to be scaled as the answer loss is."""
        if num_items is None:
            return max(1.0, float((inputs["labels"][:, 1:] != -100).sum()))
        processes = self.accelerator.num_processes if self.args.average_tokens_across_devices else 1
        return float(num_items) / (steps * processes)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """The optimiser, with the heads' own learning rate where there is one."""
        optimizer = super().create_optimizer(model)
        if self.heads is not None and self._head_learning_rate is not None:
            heads = {id(parameter) for parameter in self.heads.parameters()}
            for group in list(optimizer.param_groups):
                mine = [parameter for parameter in group["params"] if id(parameter) in heads]
                if mine and group["lr"] != self._head_learning_rate:
                    group["params"] = [parameter for parameter in group["params"] if id(parameter) not in heads]
                    optimizer.add_param_group({**group, "params": mine, "lr": self._head_learning_rate})
        return optimizer  # type: ignore[no-any-return]

    @contextmanager
    def without_heads(self) -> Iterator[None]:
        """The model as it is served, without what the objectives learn."""
        attached = self.model._modules.pop(_HEADS, None)
        try:
            yield
        finally:
            if attached is not None:
                self.model._modules[_HEADS] = attached

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        with self.without_heads():
            super()._save(output_dir, state_dict)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        with self.without_heads():
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        self._load_heads(resume_from_checkpoint)

    def _load_best_model(self) -> None:
        with self.without_heads():
            super()._load_best_model()
        self._load_heads(self.state.best_model_checkpoint)

    def _load_heads(self, checkpoint: str) -> None:
        if self.heads is not None:
            load_checkpoint(Path(checkpoint) / CHECKPOINT, self.heads)

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
            folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
            if self.heads is not None:
                save_checkpoint(folder / CHECKPOINT, self.heads)
            (folder / COMPLETE).touch()


def _score_answers_alone(device: torch.device) -> None:
    """Lets TRL's fused head leave out what is no answer on a CPU too.

    Source: trl 1.16, ``add_fused_lm_head``: without Triton it scores every position, so that shapes stay the same for
    compilers; can go when it asks for the compiler instead.
    """
    from trl.trainer import utils

    if device.type == "cpu":
        utils._use_triton = lambda device: True


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
        # Without a GPU, mixed precision is refused unless it is said that none is meant.
        use_cpu=mixed_precision and not torch.cuda.is_available(),
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
