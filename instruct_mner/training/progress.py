"""Progress of a run: steps, loss and time left, ``metrics.jsonl`` and ``loss.png``."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from matplotlib.figure import Figure
from rich.console import Console
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from instruct_mner.console import Work, working
from instruct_mner.training.collator import Collator
from instruct_mner.training.gradient_share import FIRST_STEPS, MEASURED_STEPS, GradientShares

COLLAPSED = (
    "the information bottleneck has collapsed: its estimate of what picture and text share stays at chance, so that it "
    "only pushes pictures together; leave optimizer.group_by_length out, lower "
    "alignment.information_bottleneck.divergence, or choose another layer"
)
_LOST_POSTS, _LOST_MENTIONS = "alignment/posts_not_found", "alignment/mentions_not_found"
LOST = (
    "texts, mentions or answers of this batch were not found in its tokens, and objectives leave them out; "
    f"metrics.jsonl counts them ({_LOST_POSTS}, {_LOST_MENTIONS})"
)


class RunProgress(TrainerCallback):  # type: ignore[misc]
    """Callback that appends every log line to ``metrics.jsonl`` and shows step, loss and time left.

    Args:
        metrics_path: File of the log lines.
        console: Console of the lines that stay.
        clock: Clock in seconds, by which the time left is measured.
    """

    def __init__(self, metrics_path: Path, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = metrics_path
        self._console = console
        self._clock = clock
        self._shown = ExitStack()
        self._work = Work("training")
        self._begun, self._first_step = 0.0, 0
        self._loss = self._f1 = ""
        self._collapsed = False
        self._shares = GradientShares()
        self._lost = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Begin to show the steps."""
        self._begun, self._first_step = self._clock(), state.global_step
        self._work = self._shown.enter_context(working("training", state.max_steps, "steps"))
        self._work.advance(state.global_step)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Count the step."""
        self._show(state)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        """Append a line at once, so that a run that is killed leaves all lines up to there."""
        logs = logs or {}
        # JSON has no NaN and no infinity: null stands for them.
        values = {name: value if math.isfinite(value) else None for name, value in logs.items()}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": state.global_step, **values}, allow_nan=False) + "\n")
        if "loss" in logs:
            self._loss = f"loss {logs['loss']:.3f}"
        if "reward" in logs:
            self._loss = f"reward {logs['reward']:.3f}"
        if "eval_f1" in logs:
            self._f1 = f"dev F1 {100 * logs['eval_f1']:.2f}"
            self._console.print(", ".join(filter(None, (f"step {state.global_step}", self._loss, self._f1))))
        self._show(state)
        if logs.get("information_bottleneck/collapsed") and not self._collapsed:
            self._collapsed = True
            self._console.print(f"step {state.global_step}: {COLLAPSED}")
        if (logs.get(_LOST_POSTS) or logs.get(_LOST_MENTIONS)) and not self._lost:
            self._lost = True
            self._console.print(f"step {state.global_step}: {LOST}")
        self._shares.add(logs)
        if state.global_step >= FIRST_STEPS:
            self._say(state.global_step, self._shares.outweighing())
        if state.global_step > MEASURED_STEPS[-1]:
            self._say(state.global_step, self._shares.idle())

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """End to show the steps."""
        self._shown.close()
        seconds = timedelta(seconds=round(self._clock() - self._begun))
        self._console.print(
            ", ".join(filter(None, (f"trained   {state.global_step} steps in {seconds}", self._loss, self._f1)))
        )
        self._say(state.global_step, self._shares.outweighing() + self._shares.idle())

    def _say(self, step: int, lines: list[str]) -> None:
        for line in lines:
            self._console.print(f"step {step}: {line}", markup=False)

    def _show(self, state: TrainerState) -> None:
        done = state.global_step - self._first_step
        left = ""
        if done:
            pace = (self._clock() - self._begun) / done
            left = f"{timedelta(seconds=round(pace * (state.max_steps - state.global_step)))} left"
        self._work.advance(state.global_step, ", ".join(filter(None, (self._loss, self._f1, left))))


class EpochOfCollator(TrainerCallback):  # type: ignore[misc]
    """Callback that sets the epoch of the collator, before its first batch is made.

    Batches are made in this process, or in workers that begin anew with a copy of the collator in each epoch.

    Args:
        collator: Collator of the run.
    """

    def __init__(self, collator: Collator) -> None:
        self._collator = collator

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Set the whole part of the epoch: a resumed run may begin within one."""
        self._collator.epoch = int(state.epoch or 0)


def read_metrics(path: Path) -> list[dict[str, float]]:
    """Read the lines of a ``metrics.jsonl``."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def plot_metrics(
    metrics: list[dict[str, float]], path: Path, name: str = "loss", label: str = "loss of the answer"
) -> None:
    """Draw the loss over the steps and, where there is one, the F1 on dev.

    Args:
        metrics: Lines of ``metrics.jsonl``.
        path: Picture file to write.
        name: Name of another value in these lines, to draw in place of the loss.
        label: Description of the value.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    losses = [(line["step"], line.get("answer_loss", line[name])) for line in metrics if name in line]
    axes.plot(*zip(*losses, strict=True), color="tab:blue", linewidth=1)
    axes.set(xlabel="step", ylabel=label)
    axes.yaxis.label.set_color("tab:blue")
    scores = [(line["step"], 100 * line["eval_f1"]) for line in metrics if "eval_f1" in line]
    if scores:
        right = axes.twinx()
        right.plot(*zip(*scores, strict=True), color="tab:orange", marker="o")
        right.set(ylabel="F1 on dev, %", ylim=(0, 100))
        right.yaxis.label.set_color("tab:orange")
    figure.savefig(path, dpi=150)
