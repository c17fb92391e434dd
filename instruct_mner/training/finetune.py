"""The main program of fine-tuning, from config to run folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from datasets import Dataset as Rows
from rich.console import Console
from transformers import PrinterCallback, ProgressCallback, set_seed

from instruct_mner.errors import ConfigError
from instruct_mner.files import replacing
from instruct_mner.models.loading import count_adapted_modules, lora_config
from instruct_mner.training.card import model_card
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.progress import EpochOfCollator, RunProgress, plot_metrics, read_metrics
from instruct_mner.training.run import Run, prepare
from instruct_mner.training.trainer import BEST_METRIC, MnerTrainer, sft_config


def finetune(config: FinetuneConfig, console: Console) -> Path:
    """Fine-tunes a model.

    Args:
        config: The run.
        console: Where progress is shown.

    Returns:
        The run folder: ``adapter/`` (or ``model/``), ``config.yaml``, ``metrics.jsonl``, ``loss.png``, ``README.md``.

    Raises:
        MnerError: Settings, data or model do not fit.
    """
    folder = config.output
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"output: {folder} exists and is not empty; choose another (--set output=…) or remove it")

    set_seed(config.seed)
    run = prepare(config)
    _say_what_was_decided(run, console)

    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "config.yaml") as file:
        file.write(config.to_yaml())

    trainer = build_trainer(run, folder / "checkpoints", console)
    _say_what_is_trained(trainer.model, run, console)
    trainer.train()

    weights = folder / ("adapter" if config.tuning == "lora" else "model")
    save_weights(trainer, run, weights)
    metrics = read_metrics(folder / "metrics.jsonl")
    plot_metrics(metrics, folder / "loss.png")
    with replacing(folder / "README.md") as file:
        file.write(model_card(run.manifest, config, metrics))
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)

    best = trainer.state.best_metric
    console.print(f"saved {weights}" + ("" if best is None else f", best dev F1 {100 * best:.2f}"))
    return folder


def build_trainer(run: Run, checkpoints: Path, console: Console) -> MnerTrainer:
    """The trainer of a run; its callbacks write ``metrics.jsonl`` beside the checkpoints."""
    config, loaded = run.config, run.loaded
    # The pictures' column tells SFTTrainer that its processor has pictures to process; the collator opens them.
    rows = Rows.from_dict({"index": list(range(len(run.train.examples))), "images": [[]] * len(run.train.examples)})
    lora = config.lora
    trainer = MnerTrainer(
        decoder_path=loaded.family.decoder_path,
        dev_evaluation=None if run.dev is None else lambda: run.score_dev(trainer.model),
        model=loaded.model,
        args=sft_config(
            config,
            checkpoints,
            evaluates=run.dev is not None,
            mixed_precision=_mixed_precision(config, loaded.model),
        ),
        train_dataset=rows,
        eval_dataset=None if run.dev is None else rows.select([0]),
        data_collator=run.collator,
        processing_class=loaded.processor,
        # SFTTrainer seeds before it makes the adapter, so that a seed names its initial weights.
        peft_config=(
            lora_config(loaded.family, rank=lora.rank, alpha=lora.alpha, dropout=lora.dropout)
            if config.tuning == "lora"
            else None
        ),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(EpochOfCollator(run.collator))
    trainer.add_callback(RunProgress(checkpoints.parent / "metrics.jsonl", console))
    return trainer


def save_weights(trainer: MnerTrainer, run: Run, folder: Path) -> None:
    """Saves adapter or model with its processor, ``mner.json`` and the prompt template."""
    trainer.model.save_pretrained(folder)
    run.loaded.processor.save_pretrained(folder)
    # PEFT writes a model card of its own; the run folder's says more.
    (folder / "README.md").unlink(missing_ok=True)
    run.manifest.save(folder, run.prompt)


def _mixed_precision(config: FinetuneConfig, model: Any) -> bool:
    """Bfloat16 forwards: where the weights are bfloat16, and on a GPU where all float32 weights are tuned."""
    import torch

    return bool(model.dtype == torch.bfloat16 or (config.tuning == "full" and torch.cuda.is_available()))


def _say_what_was_decided(run: Run, console: Console) -> None:
    config, optimizer = run.config, run.config.optimizer
    console.print(f"base      {run.loaded.name} ({run.loaded.family.name})")
    console.print(f"train     {run.train.name}, {len(run.train.examples)} posts, sha256 {run.train.sha256[:12]}")
    if run.dev is None:
        console.print("dev       none: the last checkpoint is kept")
    else:
        console.print(f"dev       {run.dev.name}, {len(run.dev.examples)} posts; the best {BEST_METRIC} is kept")
    for dataset in (run.train, run.dev):
        if dataset is not None and dataset.missing_images:
            how = config.data.missing_image
            console.print(f"pictures  {len(dataset.missing_images)} missing in {dataset.name}: {how}")
    console.print(f"labels    {', '.join(run.spec.labels.names)}", markup=False)
    unsaid = sum(
        not run.spec.can_say(example.text, entity.start, entity.end)
        for example in run.train.examples
        for entity in example.gold
    )
    if unsaid:
        console.print(f"mentions  {unsaid} in train cut a word or hold no letter or digit: decoding cannot repeat them")
    console.print(f"prompt    {run.prompt.name}, answers as {run.spec.format}, grounded: {run.spec.grounded}")
    console.print(
        f"steps     {optimizer.epochs:g} epochs, {optimizer.batch_size} posts x "
        f"{optimizer.gradient_accumulation_steps}, learning rate {config.learning_rate:g}, seed {config.seed}"
    )


def _say_what_is_trained(model: Any, run: Run, console: Console) -> None:
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    whole = sum(parameter.numel() for parameter in model.parameters())
    adapted = ""
    if run.config.tuning == "lora":
        counts = count_adapted_modules(model, run.loaded.family)
        adapted = "; adapted modules: " + ", ".join(f"{part} {count}" for part, count in counts.items())
    console.print(f"tuning    {run.config.tuning}: {trained:,} of {whole:,} weights{adapted}")
