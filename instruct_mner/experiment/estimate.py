"""``experiment --dry-run``: data, arms, hours and memory, by a trial of each training in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from multiprocessing import get_context

from rich.console import Console

from instruct_mner.console import working
from instruct_mner.experiment.plan import ExperimentSettings, Plan, make_plan, read_sources
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.datasets import Sources
from instruct_mner.training.dry_run import estimate
from instruct_mner.training.steps import Estimate


def describe_experiment(settings: ExperimentSettings, console: Console) -> None:
    """Print what an experiment would do, and write nothing.

    Args:
        settings: Settings of the experiment.
        console: Console of the report.

    Raises:
        MnerError: The experiment itself would raise it.
    """
    plan = make_plan(settings)
    sources = read_sources(plan)
    console.rule("data")
    for line in _data_lines(plan, sources):
        console.print(line, markup=False)
    console.rule("arms")
    for arm in plan.arms:
        console.print(f"{arm.name:<16} {arm.about}  {arm.change or ''}".rstrip(), markup=False)
    console.rule("time and memory")
    num_test = next(stamp.num_posts for stamp in sources.stamps if stamp.role == "evaluation")
    seconds, most_bytes = 0.0, 0
    for arm in plan.arms:
        if not arm.trains:
            continue
        with working(f"trying some steps of {arm.name}"):
            tried = _tried(plan.config(arm, 0))
        tagging = tried.tagging_seconds(num_test)
        others = 1 + sum(other.of == arm.name for other in plan.arms)
        console.print(
            f"{arm.name:<16} training {_time(tried.seconds)}, tagging test {_time(tagging)}, peak "
            f"{tried.peak_bytes / 2**30:.1f} GiB",
            markup=False,
        )
        seconds += settings.num_seeds * (tried.seconds + others * (tagging or 0.0))
        most_bytes = max(most_bytes, tried.peak_bytes)
    if settings.num_processes > 1:
        console.print(
            f"tried in one process; {settings.num_processes} train on {settings.num_processes} times the posts in a "
            "step, in as many fewer steps, and each needs this memory",
            markup=False,
        )
    num_runs = len(list(plan.runs()))
    console.print(
        f"{num_runs} runs over {settings.num_seeds} seed(s): about {seconds / 3600:.1f} hours one after the other on "
        f"this machine, {most_bytes / 2**30:.1f} GiB at most; arms without training and the loading of models come on "
        "top",
        markup=False,
    )


def _data_lines(plan: Plan, sources: Sources) -> Iterator[str]:
    for stamp in sources.stamps:
        known = f", {stamp.known}" if stamp.known else ""
        yield f"{stamp.role:<10} {stamp.name}, {stamp.num_posts} posts, sha256 {stamp.sha256[:12]}{known}"
    yield f"{'missing':<10} pictures: {plan.settings.missing_image}"
    yield from sources.describe()


def _tried(config: FinetuneConfig) -> Estimate:
    """Try a training in a process of its own: memory is that of one arm, and is free afterwards."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(estimate, config).result()


def _time(seconds: float | None) -> str:
    return "not known (no dev)" if seconds is None else str(timedelta(seconds=round(seconds)))
