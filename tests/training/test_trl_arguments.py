"""TRL's arguments of a run: every setting arrives under TRL's own name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from trl import SFTConfig

from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.trl_arguments import groups_by_length, sft_config


def arguments(*, chooses_by: str | None = None, mixed_precision: bool = False, **changes: Any) -> SFTConfig:
    values = {"model": "m", "data": {"train": "t.jsonl"}, "output": "run", **changes}
    config = FinetuneConfig.model_validate(values)
    return sft_config(config, Path("here/checkpoints"), chooses_by=chooses_by, mixed_precision=mixed_precision)


def test_settings_of_the_optimizer_arrive() -> None:
    optimizer = {
        "epochs": 1.5, "max_steps": 7, "batch_size": 3, "gradient_accumulation_steps": 4, "learning_rate": 0.125,
        "scheduler": "linear", "warmup_steps": 2, "weight_decay": 0.25, "max_grad_norm": 0.5,
        "gradient_checkpointing": True,
    }  # fmt: skip
    made = arguments(optimizer=optimizer, seed=11)
    assert (made.output_dir, made.num_train_epochs, made.max_steps) == ("here/checkpoints", 1.5, 7)
    assert (made.per_device_train_batch_size, made.gradient_accumulation_steps) == (3, 4)
    assert (made.learning_rate, made.lr_scheduler_type, made.warmup_steps) == (0.125, "linear", 2)
    assert (made.weight_decay, made.max_grad_norm) == (0.25, 0.5)
    assert made.gradient_checkpointing
    assert made.gradient_checkpointing_kwargs == {"use_reentrant": False}
    assert (made.seed, made.data_seed) == (11, 11)


@pytest.mark.parametrize(("chosen", "plain", "bottleneck"), [(None, True, False), (True, True, True), (False,) * 3])
def test_negatives_are_posts_of_any_length_unless_it_is_said(
    chosen: bool | None, plain: bool, bottleneck: bool
) -> None:
    for names, expected in (((), plain), (("information_bottleneck",), bottleneck)):
        config = FinetuneConfig.model_validate(
            {
                "model": "m", "data": {"train": "t.jsonl"}, "output": "run", "alignment": {name: {} for name in names},
                "optimizer": {"group_by_length": chosen},
            }
        )  # fmt: skip
        assert groups_by_length(config) is expected


@pytest.mark.parametrize(("tuning", "rate"), [("lora", 2e-4), ("qlora", 2e-4), ("full", 2e-5)])
def test_defaults_follow_the_tuning(tuning: str, rate: float) -> None:
    made = arguments(tuning=tuning)
    assert (made.learning_rate, made.max_steps) == (rate, -1)
    assert made.ddp_find_unused_parameters is (tuning == "full")
    assert not made.gradient_checkpointing


def test_without_a_dev_set_nothing_is_evaluated_and_the_last_checkpoint_is_kept() -> None:
    made = arguments()
    assert (str(made.eval_strategy.value), made.load_best_model_at_end) == ("no", False)
    assert made.metric_for_best_model is made.greater_is_better is None
    assert made.save_strategy.value == "epoch"


@pytest.mark.parametrize(("every", "strategy"), [(None, "epoch"), (5, "steps")])
def test_a_dev_score_chooses_the_checkpoint(every: int | None, strategy: str) -> None:
    made = arguments(chooses_by="gmner_f1", evaluation={"every_steps": every})
    assert (made.eval_strategy.value, made.save_strategy.value) == (strategy, strategy)
    assert (made.metric_for_best_model, made.greater_is_better) == ("eval_gmner_f1", True)
    assert made.load_best_model_at_end
    if every:
        assert made.eval_steps == made.save_steps == every


def test_data_are_left_to_the_collator_and_nothing_is_sent_anywhere() -> None:
    made = arguments()
    assert made.dataset_kwargs == {"skip_prepare_dataset": True}
    assert (made.remove_unused_columns, made.max_length, made.completion_only_loss) == (False, None, True)
    assert made.report_to in ("none", [])


def test_mixed_precision_is_asked_for_on_a_cpu_too() -> None:
    assert (arguments().bf16, arguments(mixed_precision=True).bf16) == (False, True)
