"""Report of a run before it begins: data, labels, prompt, steps and trained weights."""

from __future__ import annotations

from functools import partial

from accelerate import PartialState
from pydantic import BaseModel
from rich.console import Console
from torch import nn

from instruct_mner.models.loading import count_adapted_modules
from instruct_mner.training.earlier_trainings import describe_earlier
from instruct_mner.training.setup import Run
from instruct_mner.training.steps import count_steps, steps_of_an_epoch
from instruct_mner.training.vision_cache import describe_cache
from instruct_mner.training.warmups import warmup_remarks


def say_what_was_decided(run: Run, console: Console) -> None:
    """Print data, labels, prompt and steps."""
    # Names of files and labels may hold brackets, which are no markup.
    say = partial(console.print, markup=False)
    config, optimizer = run.config, run.config.optimizer
    say(f"base      {run.loaded.name} ({run.loaded.family.name})")
    say(f"train     {run.train.name}, {len(run.train.examples)} posts, sha256 {run.train.sha256[:12]}")
    if run.dev is None:
        say("dev       none: the last checkpoint is kept")
    else:
        say(f"dev       {run.dev.name}, {len(run.dev.examples)} posts; the best {run.chooses_by} is kept")
    if not run.loaded.family.sees:
        hidden = sum(bool(example.images) for example in run.train.examples)
        words = "what is said of them is shown" if config.context else "context: true shows what is said of them"
        if hidden:
            say(f"pictures  {hidden} posts of train have pictures that are not shown (text only); {words}")
    more = sum(len(example.images) > config.max_images for example in run.train.examples)
    if run.loaded.family.sees and more:
        shown = f"of each the first {config.max_images} (max_images)"
        say(f"pictures  {more} posts of train have more than are shown: {shown}")
    for line in (*run.sources.describe(), *describe_earlier(run.manifest, run.sources.leaked)):
        say(line)
    say(f"labels    {', '.join(run.spec.labels.names)}")
    unsaid = sum(
        not run.spec.can_say(example.text, entity.start, entity.end)
        for example in run.train.examples
        for entity in example.gold
    )
    if unsaid:
        say(f"mentions  {unsaid} in train cut a word or hold no letter or digit: decoding cannot repeat them")
    say(f"prompt    {run.prompt.name}, answers as {run.spec.format}, grounded: {run.spec.grounded}")
    for name, settings in run.alignment.each():
        say(f"alignment {name}: {describe(settings)}")
    for line in run.notes:
        say(f"heads     {line}")
    if run.loaded.family.sees:
        say(f"features  {describe_cache(config, run.loaded, run.pictures())}")
    num_steps = count_steps(optimizer, len(run.train.examples), PartialState().num_processes)
    epochs = optimizer.epochs
    if optimizer.max_steps is not None:
        epochs = num_steps / steps_of_an_epoch(optimizer, len(run.train.examples), PartialState().num_processes)
    steps = (
        f"steps     {num_steps}: {epochs:.4g} epochs, {optimizer.batch_size} posts x "
        f"{optimizer.gradient_accumulation_steps}, learning rate {config.learning_rate:g}, seed {config.seed}"
    )
    remarks = warmup_remarks("optimizer", optimizer, num_steps, run.alignment)
    say("\n".join((steps, *(f"warm-up   {each}" for each in remarks))))


def describe(settings: BaseModel) -> str:
    """Return all settings that are not null, under their names in the config."""
    return ", ".join(f"{name} {value}" for name, value in settings.model_dump().items() if value is not None)


def say_what_is_trained(model: nn.Module, run: Run, console: Console) -> None:
    """Print how many weights are trained, and which modules have a LoRA."""
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    whole = sum(parameter.numel() for parameter in model.parameters())
    adapted = ""
    if run.config.adapts:
        counts = count_adapted_modules(model, run.loaded.family)
        adapted = "; adapted modules: " + ", ".join(f"{part} {count}" for part, count in counts.items())
    console.print(f"tuning    {run.config.tuning}: {trained:,} of {whole:,} weights{adapted}", markup=False)
