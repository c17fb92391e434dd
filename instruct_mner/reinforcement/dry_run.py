"""``reinforce --dry-run``: a report of what a run would do, with drawn answers and what each is worth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from instruct_mner.reinforcement.config import find_start
from instruct_mner.reinforcement.reinforce import build_trainer, count_steps, prepare_run
from instruct_mner.reinforcement.rollouts import Answers
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.datasets import Sources
from instruct_mner.training.dry_run import seconds_of_dev
from instruct_mner.training.resolved_config import resolved_yaml
from instruct_mner.training.steps import TRIAL_STEPS, Estimate, StepClock, count_evaluations, peak_bytes
from instruct_mner.training.warmups import warmup_remarks


def dry_run(config: FinetuneConfig, console: Console, sources: Sources | None = None) -> None:
    """Print what a run would do: config, answers to the posts of a step with their rewards, time and memory.

    Some steps are tried, of which nothing is kept.

    Args:
        config: Config of the run, of :func:`~.config.reinforced_config`.
        console: Console of the report.
        sources: Data of the run, where they have been read.

    Raises:
        MnerError: The run itself would raise it.
    """
    settings = config.reinforcement
    start = find_start(config)
    run = prepare_run(config, start, sources)
    console.rule("config")
    console.print(resolved_yaml(run).rstrip(), markup=False)
    console.rule("data")
    console.print("\n".join(run.sources.describe()), markup=False)
    tried = settings.model_copy(update={"max_steps": TRIAL_STEPS})
    short = config.model_copy(update={"reinforcement": tried, "report_to": ()})
    clock = StepClock()
    with TemporaryDirectory() as folder:
        checkpoints = Path(folder) / "run" / "checkpoints"
        trainer = build_trainer(replace(run, config=short, dev=None), start, checkpoints, Console(quiet=True))
        console.rule("drawn answers")
        posts = run.train.examples[: settings.posts_per_step]
        drawn = trainer.sampler.draw(posts, seed=config.seed)
        console.print(f"{posts[0].text}\n\n" + "\n".join(_described(drawn[0], run.loaded.tokenizer)), markup=False)
        console.print("\n" + _spread(drawn), markup=False)
        trainer.args.save_strategy = "no"
        trainer.add_callback(clock)
        trainer.train()
        dev_seconds = seconds_of_dev(run, trainer.model)
    steps = count_steps(settings, len(run.train.examples))
    console.rule("time and memory")
    estimate = Estimate(
        num_steps=steps,
        step_seconds=clock.seconds,
        # Before the first step, too.
        num_evaluations=1 + count_evaluations(steps, settings.evaluate_every) if run.dev else 0,
        dev_seconds=dev_seconds,
        peak_bytes=peak_bytes(),
    )
    late = warmup_remarks("reinforcement", settings, steps)
    console.print("\n".join((estimate.describe(), *late)), markup=False)


def _described(answers: Answers, tokenizer: object) -> Iterator[str]:
    """Yield the answers to a post, each behind its reward and the rewards that this is the mean of."""
    for row, total in enumerate(answers.totals.tolist()):
        parts = ", ".join(f"{name} {values[row]:.2f}" for name, values in answers.rewards.items())
        tokens = answers.tokens[row][answers.mask[row].bool()]
        written = tokenizer.decode(tokens, skip_special_tokens=True)  # type: ignore[attr-defined]
        yield f"{total:.2f} ({parts})"
        yield "\n".join(f"    {line}" for line in written.splitlines())


def _spread(drawn: list[Answers]) -> str:
    """Return how much there is to learn from: posts whose answers are all worth the same teach nothing."""
    flat = sum(bool((answers.totals == answers.totals[0]).all()) for answers in drawn)
    mean = sum(float(answers.totals.mean()) for answers in drawn) / len(drawn)
    return (
        f"{len(drawn)} posts: mean reward {mean:.3f}; of {flat} all answers are worth the same, which teaches nothing"
    )
