"""Arguments of TRL's trainer for a run, and what it does to an adapter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import ProcessorMixin
from trl import SFTConfig
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

from instruct_mner.models.loading import Dtype
from instruct_mner.training.batch import Batch, Collate
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.optimizer_settings import OptimizerSettings
from instruct_mner.training.trackers import PROJECT


def shares_prompt_prefix(optimizer: OptimizerSettings) -> bool:
    """Return whether a run takes the shortcuts of ``models.prefix_sharing``; by default on a CPU alone."""
    if optimizer.share_prompt_prefix is not None:
        return optimizer.share_prompt_prefix
    replaced = optimizer.gradient_checkpointing or optimizer.liger or optimizer.torch_compile
    return not (replaced or torch.accelerator.is_available())


def groups_by_length(config: FinetuneConfig) -> bool:
    """Return whether posts of similar length share a batch."""
    chosen = config.optimizer.group_by_length
    return config.alignment.information_bottleneck is None if chosen is None else chosen


def dtype_of_weights(config: FinetuneConfig) -> Dtype:
    """Return float32 where all weights are tuned: a bfloat16 weight loses steps smaller than a 256th of itself."""
    return "float32" if config.tuning == "full" else config.dtype


def sft_config(
    config: FinetuneConfig, checkpoints: Path, *, chooses_by: str | None, mixed_precision: bool
) -> SFTConfig:
    """Return TRL's arguments for a run.

    Args:
        config: Config of the run.
        checkpoints: Folder of its checkpoints.
        chooses_by: Name of the dev score that chooses the checkpoint; ``None`` without a dev subset.
        mixed_precision: Whether forwards run in bfloat16.
    """
    optimizer, every = config.optimizer, config.evaluation.every_steps
    strategy = "steps" if every else "epoch"
    return SFTConfig(
        **common_arguments(config, checkpoints, chooses_by=chooses_by, mixed_precision=mixed_precision),
        num_train_epochs=optimizer.epochs,
        max_steps=optimizer.max_steps or -1,
        per_device_train_batch_size=optimizer.batch_size,
        gradient_accumulation_steps=optimizer.gradient_accumulation_steps,
        learning_rate=config.learning_rate,
        lr_scheduler_type=optimizer.scheduler,
        warmup_steps=optimizer.warmup_steps,
        eval_strategy=strategy if chooses_by else "no",
        eval_steps=every,
        save_strategy=strategy,
        save_steps=every or 500,
        # Frozen parameters are not waited for; of a whole model, a batch without pictures leaves the vision tower out.
        # With objectives, whose forwards come after the one that is searched, the trainer gives all a gradient.
        ddp_find_unused_parameters=config.tuning == "full" and not config.alignment.is_on,
        max_length=None,
        completion_only_loss=True,
        dataset_kwargs={"skip_prepare_dataset": True},
        dataloader_num_workers=optimizer.loader_workers,
        use_liger_kernel=optimizer.liger,
        torch_compile=optimizer.torch_compile,
    )


def common_arguments(
    config: FinetuneConfig, checkpoints: Path, *, chooses_by: str | None, mixed_precision: bool
) -> dict[str, object]:
    """Return the arguments that all trainers of TRL are given, but for steps and their size.

    Args:
        config: Config of the run.
        checkpoints: Folder of its checkpoints.
        chooses_by: Name of the dev score that chooses the checkpoint; ``None`` without a dev subset.
        mixed_precision: Whether forwards run in bfloat16.
    """
    optimizer = config.optimizer
    return {
        "output_dir": str(checkpoints),
        "optim": optimizer.name,
        "weight_decay": optimizer.weight_decay,
        "max_grad_norm": optimizer.max_grad_norm,
        "gradient_checkpointing": optimizer.gradient_checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": False} if optimizer.gradient_checkpointing else None,
        "seed": config.seed,
        "data_seed": config.seed,
        "bf16": mixed_precision,
        # Without a GPU, transformers refuses mixed precision unless the CPU is asked for.
        "use_cpu": mixed_precision and not torch.cuda.is_available(),
        "logging_steps": 1,
        "logging_first_step": True,
        # By default a loss of NaN is logged as the mean of those before it.
        "logging_nan_inf_filter": False,
        # Old ones are removed when the newest is complete, by `checkpoints.remove_old`.
        "save_total_limit": None,
        "load_best_model_at_end": chooses_by is not None,
        "metric_for_best_model": chooses_by and f"eval_{chooses_by}",
        "greater_is_better": True if chooses_by else None,
        "disable_tqdm": True,
        # Trackers are added as callbacks, TensorBoard's with a folder that stays.
        "report_to": "none",
        "run_name": config.output.name,
        "project": PROJECT,
        "trackio_static_space_id": False,
        # Our rows are indices: the columns that TRL knows are made by us.
        "remove_unused_columns": False,
        "dataloader_pin_memory": torch.cuda.is_available(),
    }


def keep_adapter_in_float32(model: nn.Module) -> None:
    """Turn the weights of an adapter on a base in 4 bits back into float32: a bfloat16 weight loses small steps.

    Source: trl 1.16, ``SFTTrainer.__init__``, turns them into bfloat16; can go when it asks before it does so.
    """
    if getattr(model, "is_loaded_in_4bit", False):
        for parameter in model.parameters():
            if parameter.requires_grad and parameter.is_floating_point():
                parameter.data = parameter.data.float()


@contextmanager
def answers_scored_alone(backbone: nn.Module, inputs: Batch) -> Iterator[None]:
    """Show TRL's fused head the states that predict an answer, and no others, in the forward of the block.

    Source: trl 1.16, ``add_fused_lm_head``: without Triton it scores all positions that it is shown, so that shapes
    stay the same for compilers. Labels that are shifted already are its own way in.

    Args:
        backbone: Model under the head.
        inputs: Batch of the forward, with ``labels``, which it has again afterwards.
    """
    labels: Tensor = inputs.pop("labels")
    answered = labels[:, 1:] != -100

    def keep_answers(module: nn.Module, arguments: object, output: Any) -> None:
        states = output.last_hidden_state
        output.last_hidden_state = states[:, :-1][answered.to(states.device)][None]

    handle = backbone.register_forward_hook(keep_answers)
    inputs["shift_labels"] = labels[:, 1:][answered][None]
    try:
        yield
    finally:
        handle.remove()
        del inputs["shift_labels"]
        inputs["labels"] = labels


def prompt_completion_collator(processor: ProcessorMixin) -> Collate:
    """Return TRL's collator of prompt/completion rows with pictures.

    ``max_length=None``: its default of 1024 would cut through image tokens.
    """
    collate = DataCollatorForVisionLanguageModeling(processor=processor, max_length=None, completion_only_loss=True)
    # TRL's collator writes into the rows that it is given.
    return lambda rows: collate([dict(row) for row in rows])
