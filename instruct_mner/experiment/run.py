"""Main program of an experiment: train, tag and score each run that is not complete, and write the tables."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import yaml
from rich.console import Console

from instruct_mner.console import stop_display
from instruct_mner.experiment.children import call, wait_for_lock
from instruct_mner.experiment.plan import ExperimentSettings as Settings
from instruct_mner.experiment.plan import Plan, PlannedRun, make_plan, read_sources, write_plan
from instruct_mner.experiment.render import comma_separated, latex, markdown
from instruct_mner.experiment.scores import GoldPosts, ScoredRun, read_test, score_run, write_report
from instruct_mner.experiment.table import make_table
from instruct_mner.files import exclusive, replacing
from instruct_mner.models.config_file import takes_pictures
from instruct_mner.schema.labels import LabelSet
from instruct_mner.scoring.bootstrap import DEFAULT_NUM_RESAMPLES
from instruct_mner.training.checkpoints import is_finished
from instruct_mner.training.trainable import labels_of


def experiment(settings: Settings, console: Console, *, num_resamples: int = DEFAULT_NUM_RESAMPLES) -> Path:
    """Run an experiment; one that was stopped goes on, and complete runs are not run again.

    Args:
        settings: Settings of the experiment.
        console: Console of the progress.
        num_resamples: Draws of seeds and posts for intervals and p-values.

    Returns:
        The Markdown table; ``table.tex`` and ``table.csv`` lie beside it.

    Raises:
        MnerError: Settings, data or model do not fit, or a run failed.
    """
    plan = make_plan(settings)
    with exclusive(settings.output):
        sources = read_sources(plan)
        for line in sources.describe():
            console.print(line, markup=False)
        write_plan(plan, sources.stamps)
        test = read_test(plan)
        labels = plan.config(plan.arms[0], 0).labels or labels_of(sources.train, sources.dev)
        runs = list(plan.runs())
        # The verbs show what they do themselves.
        stop_display()
        scored: list[ScoredRun] = []
        for number, run in enumerate(runs, start=1):
            if not run.is_complete:
                console.print(f"run {number} of {len(runs)}: {run.name}", markup=False)
                _train_and_tag(plan, run, labels)
            scored.append(score_run(run, test))
            if not run.is_complete:
                write_report(scored[-1])
                f1 = scored[-1].system.report.micro.score.f1
                console.print(f"{run.name}: micro F1 {100 * f1:.2f}", markup=False)
                _write_tables(plan, _complete(runs, scored, test), num_resamples)
        _write_tables(plan, scored, num_resamples)
        # Of one that failed it stays, for the same command.
        shutil.rmtree(plan.vision_folder, ignore_errors=True)
    return settings.output / "table.md"


def _complete(runs: Sequence[PlannedRun], scored: Sequence[ScoredRun], test: GoldPosts) -> list[ScoredRun]:
    """Return all complete runs, those that come later in the order too."""
    later = [run for run in runs[len(scored) :] if run.is_complete]
    return [*scored, *(score_run(run, test) for run in later)]


def _train_and_tag(plan: Plan, run: PlannedRun, labels: LabelSet) -> None:
    if run.arm.trains:
        _train(plan, run)
    wait_for_lock(run.predictions)
    call("tag", plan.splits.test, *_model_flags(plan, run, labels), *_test_flags(plan, run), "-o", run.predictions)


def _train(plan: Plan, run: PlannedRun) -> None:
    config = plan.config(run.arm, run.seed)
    if is_finished(run.folder):
        return
    wait_for_lock(run.folder)
    if run.folder.is_dir() and not (run.folder / "config.yaml").is_file():
        # Killed before its first file was complete: nothing is lost.
        shutil.rmtree(run.folder)
    path = plan.settings.output / f"{run.name}.yaml"
    with replacing(path) as file:
        file.write(f"# Arm {run.arm.name}: base.yaml, with the change of arms.yaml.\n{config.to_yaml()}")
    call("finetune", path, "--resume", num_processes=plan.settings.num_processes)


def _model_flags(plan: Plan, run: PlannedRun, labels: LabelSet) -> list[object]:
    config = plan.config(run.arm, run.seed)
    if run.arm.train:
        return ["--adapter" if config.adapts else "--model", run.folder]
    path = plan.settings.output / "labels.yaml"
    definitions = {label.name: label.definition for label in labels.each()}
    with replacing(path) as file:
        values = definitions if any(definitions.values()) else list(definitions)
        file.write(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
    return ["--model", config.model, "--labels", path]


def _test_flags(plan: Plan, run: PlannedRun) -> list[object]:
    """Return the flags of the posts of test, of which none is left out."""
    data = plan.config(run.arm, run.seed).data
    flags: list[object] = ["--batch-size", plan.settings.batch_size]
    flags += ["--images", data.images] if data.images is not None else []
    sees = takes_pictures(plan.config(run.arm, run.seed).model) is not False
    missing = "error" if data.missing_image == "error" and sees else "text"
    return [*flags, "--missing-image", missing, "--image-source", run.arm.pictures]


def _write_tables(plan: Plan, scored: Sequence[ScoredRun], num_resamples: int) -> None:
    table = make_table(plan, scored, num_resamples=num_resamples)
    for name, text in (("md", markdown(table)), ("tex", latex(table)), ("csv", comma_separated(table))):
        with replacing(plan.settings.output / f"table.{name}") as file:
            file.write(text)
