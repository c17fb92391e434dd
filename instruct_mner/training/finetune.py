"""Main program of fine-tuning, from config to run folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, parse_flag_from_env
from datasets import Dataset as Rows
from rich.console import Console
from torch import Tensor
from transformers import PreTrainedTokenizerFast, PrinterCallback, ProgressCallback, set_seed

from instruct_mner.alignment.checkpoint import FOLDER, save_heads, uses_heads
from instruct_mner.console import displayed, stop_display, working
from instruct_mner.files import exclusive, replacing
from instruct_mner.models.checkpoint_names import restore_names
from instruct_mner.models.loading import Model, lora_config
from instruct_mner.training.checkpoints import check_run_folder, is_done, open_run_folder
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.datasets import Sources
from instruct_mner.training.inputs import check_inputs
from instruct_mner.training.model_card import model_card
from instruct_mner.training.objectives import heads_shape
from instruct_mner.training.progress import COLLAPSED, EpochOfCollator, RunProgress, plot_metrics, read_metrics
from instruct_mner.training.scored_trainer import ScoredTrainer
from instruct_mner.training.setup import Run, prepare
from instruct_mner.training.sharding import whole_weights
from instruct_mner.training.summary import say_what_is_trained, say_what_was_decided
from instruct_mner.training.trackers import tracker_callbacks
from instruct_mner.training.trainer import MnerTrainer
from instruct_mner.training.trl_arguments import groups_by_length, sft_config, shares_prompt_prefix
from instruct_mner.training.vision_cache import keep_features_of_run

_FLAG = "information_bottleneck/collapsed"


def finetune(config: FinetuneConfig, console: Console, *, resume: bool = False, sources: Sources | None = None) -> Path:
    """Fine-tune a model; under ``accelerate launch``, in all of its processes.

    Args:
        config: Config of the run.
        console: Console of the progress.
        resume: Whether to go on with a run that was killed.
        sources: Data of the run, where :func:`~.precheck.precheck` has read them.

    Returns:
        The run folder: ``adapter/`` (or ``model/``), ``config.yaml``, ``metrics.jsonl``, ``loss.png``, ``README.md``.

    Raises:
        MnerError: Settings, data or model do not fit.
    """
    # Without the flag several processes on CPUs would each take themselves for the only one.
    processes = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))
    if not processes.is_main_process:
        console.quiet = True
        stop_display()
    folder = config.output
    if resume and is_done(config):
        console.print(f"{folder} is finished already", markup=False)
        return folder
    with (
        displayed("finetune", quiet=console.quiet),
        exclusive(folder) if processes.is_main_process else nullcontext(),
    ):
        if processes.is_main_process:
            check_run_folder(config, resume=resume)
        set_seed(config.seed)
        _train(prepare(config, sources), processes, console)
    return folder


def _train(run: Run, processes: PartialState, console: Console) -> None:
    say_what_was_decided(run, console)
    folder = run.config.output
    checkpoints: list[Path | None] = [None]
    if processes.is_main_process:
        checkpoints = [open_run_folder(run.config)]
        check_inputs(run, folder / "checkpoints")
    [checkpoint] = broadcast_object_list(checkpoints)

    with working("preparing the trainer"):
        trainer = build_trainer(run, folder / "checkpoints", console)
    with trainer.without_heads():
        say_what_is_trained(trainer.model, run, console)
    if checkpoint is not None:
        console.print(f"resuming  from {checkpoint.name}")
    if checkpoint is None or not trainer.take_up_finished(checkpoint):
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))

    with trainer.without_heads():
        whole = whole_weights(trainer.model)
    if processes.is_main_process:
        with working(f"writing {folder}"):
            _finish(trainer, run, console, whole)
    processes.wait_for_everyone()


def _finish(trainer: MnerTrainer, run: Run, console: Console, whole: Mapping[str, Tensor] | None) -> None:
    """Write weights, curve and card, and remove the checkpoints."""
    config = run.config
    folder = config.output
    weights = folder / ("adapter" if config.adapts else "model")
    save_weights(trainer, run, weights, whole)
    if trainer.heads is not None and uses_heads(config.alignment):
        save_heads(folder / FOLDER, trainer.heads, run.alignment, heads_shape(run.loaded, run.spec))
    metrics = read_metrics(folder / "metrics.jsonl")
    plot_metrics(metrics, folder / "loss.png")
    with replacing(folder / "README.md") as file:
        file.write(model_card(run.manifest, config, metrics))
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    if next((line[_FLAG] for line in reversed(metrics) if _FLAG in line), 0):
        console.print(COLLAPSED)
    best = trainer.state.best_metric
    score = "" if best is None else f", best dev {run.chooses_by} {100 * best:.2f}"
    console.print(f"saved {weights}{score}", markup=False)


def build_trainer(run: Run, checkpoints: Path, console: Console) -> MnerTrainer:
    """Return the trainer of a run; its callbacks write ``metrics.jsonl`` beside the checkpoints.

    Args:
        run: Parts of the run.
        checkpoints: Folder of the checkpoints.
        console: Console of the progress.
    """
    config, loaded = run.config, run.loaded
    columns: dict[str, list[object]] = {"index": list(range(len(run.train.examples)))}
    if loaded.family.sees:
        # This column tells SFTTrainer that its processor has pictures to process; the collator opens them.
        columns["images"] = [[]] * len(run.train.examples)
    rows = Rows.from_dict(columns)
    keep_features_of_run(config, loaded, checkpoints)
    lora = config.lora
    trainer = MnerTrainer(
        loaded=loaded,
        objectives=run.objectives,
        head_learning_rate=config.alignment.head_learning_rate,
        lengths=run.lengths if groups_by_length(config) else None,
        share_prompt_prefix=shares_prompt_prefix(config.optimizer),
        dev_evaluation=None if run.dev is None else lambda: run.score_dev(trainer.model),
        model=loaded.model,
        args=sft_config(
            config,
            checkpoints,
            chooses_by=None if run.dev is None else run.chooses_by,
            mixed_precision=mixed_precision(config, loaded.model),
        ),
        train_dataset=rows,
        eval_dataset=None if run.dev is None else rows.select([0]),
        data_collator=run.collator,
        processing_class=loaded.processor if loaded.family.sees else loaded.tokenizer,
        # SFTTrainer seeds before it makes the adapter, so that a seed names its initial weights.
        peft_config=(
            lora_config(loaded.family, rank=lora.rank, alpha=lora.alpha, dropout=lora.dropout)
            if config.adapts
            else None
        ),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(EpochOfCollator(run.collator))
    for tracker in tracker_callbacks(config.report_to, checkpoints.parent):
        trainer.add_callback(tracker)
    if trainer.args.should_save:
        trainer.add_callback(RunProgress(checkpoints.parent / "metrics.jsonl", console))
    return trainer


def save_weights(trainer: ScoredTrainer, run: Run, folder: Path, whole: Mapping[str, Tensor] | None = None) -> None:
    """Write adapter or model with its processor, ``mner.json`` and the prompt template.

    Args:
        trainer: Trainer of the run.
        run: Parts of the run.
        folder: Folder of the weights.
        whole: Weights, where those of the trainer are parts; see :func:`~.sharding.whole_weights`.
    """
    if run.config.adapts:
        # The name, not where it was found: the starter lies elsewhere on the next machine.
        for lora in trainer.model.peft_config.values():
            lora.base_model_name_or_path = run.manifest.base_model
    # PEFT would ask the hub under that name whether embeddings were trained; they never are.
    # Reinforcement has a second adapter, that which it began with.
    further: dict[str, object] = (
        {"save_embedding_layers": False, "selected_adapters": ["default"]} if run.config.adapts else {}
    )
    if whole is not None:
        further["state_dict"] = dict(whole)
    with trainer.without_heads():
        trainer.model.save_pretrained(folder, **further)
    if not run.config.adapts:
        restore_names(folder, run.loaded.family)
    # A tokenizer that was used would be written with the padding of its last batch.
    if isinstance(run.loaded.tokenizer, PreTrainedTokenizerFast):
        run.loaded.tokenizer.backend_tokenizer.no_padding()
        run.loaded.tokenizer.backend_tokenizer.no_truncation()
    run.loaded.processor.save_pretrained(folder)
    # PEFT writes a model card of its own; the run folder's says more.
    (folder / "README.md").unlink(missing_ok=True)
    run.manifest.save(folder, run.prompt)


def mixed_precision(config: FinetuneConfig, model: Model) -> bool:
    """Return true for bfloat16 forwards: with bfloat16 weights; of float32 weights that are all tuned, if wanted."""
    wanted = config.dtype == "bfloat16" or (config.dtype == "auto" and torch.cuda.is_available())
    return bool(model.dtype == torch.bfloat16 or (config.tuning == "full" and wanted))
