"""Main program of reinforcement, from config and adapter to run folder."""

from __future__ import annotations

import math
import shutil
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from accelerate import PartialState
from accelerate.utils import broadcast_object_list, parse_flag_from_env
from datasets import Dataset as Rows
from peft import load_peft_weights, set_peft_model_state_dict
from rich.console import Console
from transformers import PrinterCallback, ProgressCallback, set_seed

from instruct_mner.console import displayed, stop_display, working
from instruct_mner.engines.transformers import TransformersEngine
from instruct_mner.engines.vllm import VllmEngine
from instruct_mner.errors import ConfigError
from instruct_mner.files import exclusive, replacing
from instruct_mner.models.loading import LoadedModel, load_adapter
from instruct_mner.reinforcement.config import Start, check_same, find_start
from instruct_mner.reinforcement.grpo import GRPOConfig
from instruct_mner.reinforcement.rollouts import AnswerSampler
from instruct_mner.reinforcement.stop import StopWhenExploited
from instruct_mner.reinforcement.trainer import ReinforceTrainer
from instruct_mner.tagging.question import QuestionBuilder
from instruct_mner.training.checkpoints import check_run_folder, is_done, open_run_folder
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.datasets import Sources
from instruct_mner.training.earlier_trainings import continued
from instruct_mner.training.finetune import mixed_precision, save_weights
from instruct_mner.training.inputs import check_inputs
from instruct_mner.training.model_card import model_card
from instruct_mner.training.progress import RunProgress, plot_metrics, read_metrics
from instruct_mner.training.reinforcement_settings import ReinforcementSettings
from instruct_mner.training.setup import Run, prepare
from instruct_mner.training.sharding import is_sharded
from instruct_mner.training.summary import say_what_is_trained
from instruct_mner.training.trackers import tracker_callbacks
from instruct_mner.training.trl_arguments import common_arguments, shares_prompt_prefix
from instruct_mner.training.vision_cache import keep_features_of_run
from instruct_mner.training.warmups import warmup_remarks


def reinforce(
    config: FinetuneConfig, console: Console, *, resume: bool = False, sources: Sources | None = None
) -> Path:
    """Go on with an adapter by GRPO; under ``accelerate launch``, in all of its processes.

    Args:
        config: Config of the run, of :func:`~.config.reinforced_config`.
        console: Console of the progress.
        resume: Whether to go on with a run that was killed.
        sources: Data of the run, where :func:`~instruct_mner.training.precheck.precheck` has read them.

    Returns:
        The run folder: ``adapter/``, ``config.yaml``, ``metrics.jsonl``, ``loss.png`` (of the reward), ``README.md``.

    Raises:
        MnerError: Settings, data, model or adapter do not fit.
    """
    processes = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))
    if not processes.is_main_process:
        console.quiet = True
        stop_display()
    folder = config.output
    with (
        displayed("reinforce", quiet=console.quiet),
        exclusive(folder) if processes.is_main_process else nullcontext(),
    ):
        if resume and is_done(config):
            console.print(f"{folder} is finished already", markup=False)
            return folder
        if processes.is_main_process:
            check_run_folder(config, resume=resume)
        if is_sharded():
            raise ConfigError(
                "reinforce draws answers with the whole model, which FSDP2 and ZeRO-3 part; launch it without them"
            )
        if config.reinforcement.engine == "vllm" and processes.num_processes > 1:
            raise ConfigError("reinforcement.engine: vllm runs in one process; take transformers in several")
        start = find_start(config)
        set_seed(config.seed)
        _reinforce(prepare_run(config, start, sources, processes.num_processes), start, processes, console)
    return folder


def prepare_run(config: FinetuneConfig, start: Start, sources: Sources | None = None, num_processes: int = 1) -> Run:
    """Return the parts of a run, which begins with an adapter.

    Args:
        config: Config of the run.
        start: Adapter that it begins with.
        sources: Data of the run, where they have been read.
        num_processes: Number of processes that share each step.

    Raises:
        MnerError: Settings, data, model or adapter do not fit.
    """
    run = prepare(config, sources)
    check_same(start, run.manifest, config.lora)
    _check_posts(run, config.reinforcement, num_processes)
    manifest = continued(run.manifest, start.manifest, config.data.leaks)
    return replace(run, manifest=manifest.model_copy(update={"reinforced_from": start.sha256}))


def _reinforce(run: Run, start: Start, processes: PartialState, console: Console) -> None:
    config, settings = run.config, run.config.reinforcement
    folder = config.output
    checkpoints: list[Path | None] = [None]
    if processes.is_main_process:
        checkpoints = [open_run_folder(config)]
        check_inputs(run, folder / "checkpoints", {f"adapter {start.folder}": start.sha256})
    [checkpoint] = broadcast_object_list(checkpoints)
    console.print(f"start     {start.folder}, sha256 {start.sha256[:12]}", markup=False)
    console.print(
        f"train     {run.train.name}, {len(run.train.examples)} posts: {settings.posts_per_step} posts x "
        f"{settings.num_answers} answers a step, learning rate {settings.learning_rate:g}, seed {config.seed}",
        markup=False,
    )
    num_steps = count_steps(settings, len(run.train.examples), processes.num_processes)
    for line in warmup_remarks("reinforcement", settings, num_steps):
        console.print(f"warm-up   {line}", markup=False)
    with working("preparing the trainer"):
        trainer = build_trainer(run, start, folder / "checkpoints", console)
    console.print(f"rewards   {', '.join(trainer.reward_func_names)}")
    say_what_is_trained(trainer.model, run, console)
    if checkpoint is not None:
        console.print(f"resuming  from {checkpoint.name}")
    elif run.dev is not None:
        # The score to beat; a callback compares with it, and so does the end.
        trainer.evaluate()
    if checkpoint is None or not trainer.take_up_finished(checkpoint):
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    if processes.is_main_process:
        with working(f"writing {folder}"):
            _finish(trainer, run, start, console)
    processes.wait_for_everyone()


def _finish(trainer: ReinforceTrainer, run: Run, start: Start, console: Console) -> None:
    """Write weights, curve and card, and remove the checkpoints."""
    config = run.config
    folder = config.output
    metrics = read_metrics(folder / "metrics.jsonl")
    score = f"eval_{run.chooses_by}"
    scored = [line for line in metrics if score in line]
    best = max(scored, key=lambda line: line[score], default=None)
    if best is not None and not best["step"]:
        set_peft_model_state_dict(trainer.model, load_peft_weights(str(start.folder), device="cpu"))
        console.print(
            f"no step was better on dev than the adapter that the run began with ({100 * best[score]:.2f} "
            f"{run.chooses_by}): its weights are kept"
        )
    save_weights(trainer, run, folder / "adapter")
    plot_metrics(metrics, folder / "loss.png", "reward", "mean reward")
    with replacing(folder / "README.md") as file:
        file.write(model_card(run.manifest, config, metrics))
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    said = "" if best is None else f", best dev {run.chooses_by} {100 * best[score]:.2f} at step {best['step']:.0f}"
    console.print(f"saved {folder / 'adapter'}{said}", markup=False)


def build_trainer(run: Run, start: Start, checkpoints: Path, console: Console) -> ReinforceTrainer:
    """Return the trainer of a run; its callbacks write ``metrics.jsonl`` beside the checkpoints.

    Args:
        run: Parts of the run.
        start: Adapter that it begins with.
        checkpoints: Folder of the checkpoints.
        console: Console of the progress.
    """
    config, settings = run.config, run.config.reinforcement
    metrics = checkpoints.parent / "metrics.jsonl"
    keep_features_of_run(config, run.loaded, checkpoints)
    loaded = _trainable(load_adapter(run.loaded, start.folder))
    engine = TransformersEngine(loaded, settings.num_answers * settings.posts_per_step)
    other = _vllm(run, start) if settings.engine == "vllm" else None
    sampler = AnswerSampler(
        engine=engine,
        sampler=other or engine,
        builder=QuestionBuilder(engine=engine, manifest=run.manifest, prompt=run.prompt),
        picture_paths=run.picture_paths,
        weights=settings.rewards.model_dump(),
        num_answers=settings.num_answers,
        temperature=settings.temperature,
    )
    trainer = ReinforceTrainer(
        loaded=loaded,
        sampler=sampler,
        posts=run.train.examples,
        shares_prompt=shares_prompt_prefix(config.optimizer),
        dev_evaluation=None if run.dev is None else lambda: run.score_dev(trainer.model),
        before_draws=None if other is None else partial(_give_adapter, other, loaded, checkpoints),
        model=loaded.model,
        args=grpo_config(config, checkpoints, run, loaded),
        train_dataset=Rows.from_dict({"index": list(range(len(run.train.examples)))}),
        eval_dataset=None if run.dev is None else Rows.from_dict({"index": [0]}),
        processing_class=loaded.processor if loaded.family.sees else loaded.tokenizer,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    for tracker in tracker_callbacks(config.report_to, checkpoints.parent):
        trainer.add_callback(tracker)
    if trainer.args.should_save:
        trainer.add_callback(RunProgress(metrics, console))
    if run.dev is not None:
        trainer.add_callback(StopWhenExploited(metrics, f"eval_{run.chooses_by}", settings.patience, console))
    return trainer


def _vllm(run: Run, start: Start) -> VllmEngine:
    """Return vLLM in this process, with the adapter that the run begins with."""
    plan = VllmEngine.plan(start.folder, run.loaded.name, run.config.dtype)
    return VllmEngine(plan, ("--logprobs-mode=processed_logprobs", *run.config.reinforcement.vllm))


def _give_adapter(engine: VllmEngine, loaded: LoadedModel, checkpoints: Path, step: int) -> None:
    """Let vLLM answer with the adapter as it stands."""
    folder = checkpoints / "vllm"
    shutil.rmtree(folder, ignore_errors=True)
    loaded.model.save_pretrained(folder / str(step), selected_adapters=["default"])  # type: ignore[call-arg]
    engine.take_adapter(folder / str(step))


def grpo_config(config: FinetuneConfig, checkpoints: Path, run: Run, loaded: LoadedModel) -> GRPOConfig:
    """Return TRL's arguments for a run.

    Args:
        config: Config of the run.
        checkpoints: Folder of its checkpoints.
        run: Parts of the run.
        loaded: Model with the adapter.
    """
    settings = config.reinforcement
    chooses_by = None if run.dev is None else run.chooses_by
    mixed = mixed_precision(config, loaded.model)
    return GRPOConfig(
        **common_arguments(config, checkpoints, chooses_by=chooses_by, mixed_precision=mixed),
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        # A forward holds the answers to one post.
        per_device_train_batch_size=settings.num_answers,
        num_generations=settings.num_answers,
        gradient_accumulation_steps=settings.posts_per_step,
        temperature=settings.temperature,
        beta=settings.divergence,
        scale_rewards=settings.scale_rewards,
        # Each token of a step counts the same, whatever the length of its answer. The policy that draws is the one that
        # is trained, so that nothing is clipped; with dropout it would not be.
        loss_type="dapo",
        disable_dropout=True,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.scheduler,
        warmup_steps=settings.warmup_steps,
        eval_strategy="steps" if chooses_by else "no",
        eval_steps=settings.evaluate_every,
        save_strategy="steps",
        save_steps=settings.evaluate_every,
        ddp_find_unused_parameters=False,
    )


def count_steps(settings: ReinforcementSettings, num_posts: int, num_processes: int = 1) -> int:
    """Return the number of steps of a run; posts that fill no step are left out of an epoch.

    Args:
        settings: Settings of the run.
        num_posts: Number of posts.
        num_processes: Number of processes that share each step.
    """
    if settings.max_steps is not None:
        return settings.max_steps
    return math.ceil(settings.epochs * (num_posts // (settings.posts_per_step * num_processes)))


def _check_posts(run: Run, settings: ReinforcementSettings, num_processes: int) -> None:
    least = settings.posts_per_step * num_processes
    if len(run.train.examples) < least:
        raise ConfigError(
            f"reinforcement.posts_per_step: a step has {least} posts, and {run.train.path} has "
            f"{len(run.train.examples)}; take fewer a step"
        )


def _trainable(loaded: LoadedModel) -> LoadedModel:
    """Return a model with the weights of its adapter, and no others, to be trained."""
    for name, parameter in loaded.model.named_parameters():
        parameter.requires_grad_("lora_" in name)
    loaded.model.peft_config["default"].inference_mode = False  # type: ignore[attr-defined]
    return loaded
