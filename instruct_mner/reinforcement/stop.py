"""Stop of a run whose answers earn more and are worse: a reward that is exploited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from instruct_mner.training.progress import read_metrics

Line = Mapping[str, float]


def exploited(lines: Sequence[Line], score: str, patience: int) -> str | None:
    """Return why a run is to stop; ``None`` while it may go on.

    It stops when the last evaluations are all worse than the best one before them, while the reward is higher than it
    was up to there: then the reward pays for something that the score does not.

    Args:
        lines: Lines of ``metrics.jsonl``.
        score: Name of the score on dev in these lines.
        patience: Number of evaluations in a row that must be worse.
    """
    evaluations = [(line["step"], line[score]) for line in lines if score in line]
    if len(evaluations) <= patience:
        return None
    best = max(evaluations, key=lambda each: each[1])
    after = [each for each in evaluations if each[0] > best[0]]
    if len(after) < patience or any(value >= best[1] for _, value in after[-patience:]):
        return None
    last, before = after[-1], evaluations[-2]
    earlier = _mean_reward(lines, _begin_before(evaluations, best[0]), best[0])
    now = _mean_reward(lines, before[0], last[0])
    if earlier is None:  # The best score is that of the beginning, before any reward.
        earlier = _mean_reward(lines, best[0], after[0][0])
    if earlier is None or now is None or now <= earlier:
        return None
    name = score.removeprefix("eval_")
    return (
        f"stopped at step {last[0]:.0f}: the reward rose from {earlier:.3f} to {now:.3f} while {name} on dev "
        f"fell from {100 * best[1]:.2f} (step {best[0]:.0f}) to {100 * last[1]:.2f}; the weights of the best "
        "step are kept"
    )


def _begin_before(evaluations: Sequence[tuple[float, float]], step: float) -> float:
    return max((each for each, _ in evaluations if each < step), default=0)


def _mean_reward(lines: Sequence[Line], after: float, until: float) -> float | None:
    """Return the mean reward of the steps behind one and up to another; ``None`` where there are none."""
    rewards = [line["reward"] for line in lines if "reward" in line and after < line["step"] <= until]
    return sum(rewards) / len(rewards) if rewards else None


class StopWhenExploited(TrainerCallback):  # type: ignore[misc]
    """Callback that stops a run when its reward is exploited, and says so.

    Args:
        metrics_path: ``metrics.jsonl`` of the run.
        score: Name of the score on dev in it.
        patience: Number of evaluations in a row that must be worse.
        console: Console of the line.
    """

    def __init__(self, metrics_path: Path, score: str, patience: int, console: Console) -> None:
        self._path, self._score, self._patience, self._console = metrics_path, score, patience, console

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Look at the lines up to here."""
        if not state.global_step:
            return
        reason = exploited(read_metrics(self._path), self._score, self._patience)
        if reason is not None:
            control.should_training_stop = True
            self._console.print(reason, markup=False)
