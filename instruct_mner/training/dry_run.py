"""``finetune --dry-run``: a report of what a run would do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.text import Text
from torch import nn

from instruct_mner.models.loading import Model, count_adapted_modules
from instruct_mner.training.checkpoints import check_run_place
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.datasets import Sources
from instruct_mner.training.earlier_trainings import describe_earlier
from instruct_mner.training.finetune import build_trainer
from instruct_mner.training.precheck import precheck
from instruct_mner.training.resolved_config import resolved_yaml
from instruct_mner.training.setup import Run, prepare
from instruct_mner.training.steps import (
    TRIAL_STEPS,
    Estimate,
    StepClock,
    count_evaluations,
    count_steps,
    peak_bytes,
    steps_of_an_epoch,
)
from instruct_mner.training.trainer import MnerTrainer
from instruct_mner.training.warmups import warmup_remarks

# Number of posts whose tokens are counted.
_SAMPLE = 64


def dry_run(config: FinetuneConfig, console: Console, sources: Sources | None = None) -> None:
    """Print what a run would do: config, first post with its label mask, token budget, modules, time and memory.

    Some steps are tried, of which nothing is kept.

    Args:
        config: Config of the run.
        console: Console of the report.
        sources: Data of the run, where they have been read.

    Raises:
        MnerError: The run itself would raise it.
    """
    check_run_place(config)
    run = prepare(config, sources)
    console.rule("config")
    console.print(resolved_yaml(run).rstrip(), markup=False)
    console.rule("data")
    remarks = (*run.sources.describe(), *describe_earlier(run.manifest, run.sources.leaked))
    console.print("\n".join(remarks), markup=False)
    console.rule("first post as rendered; the loss is on what is underlined")
    console.print(_rendered(run))
    console.rule("tokens of a post")
    console.print(_budget(run))
    trainer, estimate = _tried(run)
    console.rule("adapted modules")
    console.print(_adapted(run, trainer.model), markup=False)
    console.rule("time and memory")
    late = warmup_remarks("optimizer", config.optimizer, estimate.num_steps, run.alignment)
    console.print("\n".join((estimate.describe(), *late)), markup=False)


def estimate(config: FinetuneConfig) -> Estimate:
    """Return time and memory of a run, from some of its steps, of which nothing is kept.

    Args:
        config: Config of the run.

    Raises:
        MnerError: The run itself would raise it.
    """
    return _tried(prepare(config, precheck(config, dry_run=True)))[1]


def _tried(run: Run) -> tuple[MnerTrainer, Estimate]:
    """Train some steps in a folder that is removed again, and return the trainer and the size of the whole run."""
    config = run.config
    optimizer = config.optimizer.model_copy(update={"max_steps": TRIAL_STEPS})
    short = config.model_copy(update={"optimizer": optimizer, "report_to": ()})
    clock = StepClock()
    with TemporaryDirectory() as folder:
        trainer = build_trainer(replace(run, config=short, dev=None), Path(folder) / "checkpoints", Console(quiet=True))
        trainer.args.save_strategy = "no"
        trainer.add_callback(clock)
        trainer.train()
        with trainer.without_heads():
            dev_seconds = seconds_of_dev(run, trainer.model)
    num_posts = len(run.train.examples)
    num_steps = count_steps(config.optimizer, num_posts)
    every = config.evaluation.every_steps or steps_of_an_epoch(config.optimizer, num_posts)
    return trainer, Estimate(
        num_steps=num_steps,
        step_seconds=clock.seconds,
        num_evaluations=count_evaluations(num_steps, every) if run.dev else 0,
        dev_seconds=dev_seconds,
        peak_bytes=peak_bytes(),
        num_dev_posts=len(run.dev.examples) if run.dev else 0,
    )


def seconds_of_dev(run: Run, model: Model) -> float:
    """Return the time of scoring the dev subset, in seconds, by that of its first batch; 0 without one.

    Args:
        run: Parts of the run.
        model: Model that is scored.
    """
    if run.dev is None:
        return 0.0
    batch = run.dev.examples[: run.config.evaluation.batch_size]
    begun = time.monotonic()
    replace(run, dev=replace(run.dev, examples=batch)).score_dev(model)
    return (time.monotonic() - begun) * len(run.dev.examples) / len(batch)


def _rendered(run: Run) -> Text:
    batch = run.collator.inputs([{"index": 0}])
    tokenizer = run.loaded.tokenizer
    image_token = run.loaded.image_token_id
    text = Text()
    ids, labels = batch["input_ids"][0].tolist(), batch["labels"][0].tolist()
    start = 0
    while start < len(ids):
        kind = _kind(ids[start], labels[start], image_token)
        end = start
        while end < len(ids) and _kind(ids[end], labels[end], image_token) == kind:
            end += 1
        if kind == "image":
            text.append(f"<{end - start} image tokens>", style="dim")
        else:
            text.append(tokenizer.decode(ids[start:end]), style="underline" if kind == "answer" else "")
        start = end
    answered = sum(label != -100 for label in labels)
    text.append(f"\n\n{len(ids)} tokens, {answered} of them carry the loss", style="bold")
    return text


def _kind(token: int, label: int, image_token: int) -> str:
    return "image" if token == image_token else "answer" if label != -100 else "question"


def _budget(run: Run) -> str:
    """Return the lengths of posts at even distances in the data."""
    count = len(run.train.examples)
    indices = range(0, count, max(1, count // _SAMPLE))
    lengths, images, answers = [], [], []
    for index in indices:
        batch = run.collator.inputs([{"index": index}])
        lengths.append(int(batch["attention_mask"].sum()))
        images.append(int((batch["input_ids"] == run.loaded.image_token_id).sum()))
        answers.append(int((batch["labels"] != -100).sum()))
    limit = run.loaded.model.config.get_text_config().max_position_embeddings
    rows = [
        f"of {len(lengths)} posts: median / most",
        f"all      {_median(lengths)} / {max(lengths)}   (the model takes {limit})",
        f"image    {_median(images)} / {max(images)}",
        f"answer   {_median(answers)} / {max(answers)}",
    ]
    return "\n".join(rows)


def _median(values: Sequence[int]) -> int:
    return sorted(values)[len(values) // 2]


def _adapted(run: Run, model: nn.Module) -> str:
    config, family = run.config, run.loaded.family
    if not config.adapts:
        return "none: all weights are tuned"
    lora = config.lora
    counts = count_adapted_modules(model, family)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    parts = "\n".join(f"{part:<24} {count}" for part, count in counts.items())
    return f"{parts}\n{trained:,} weights at rank {lora.rank}; pattern {family.lora_pattern}"
