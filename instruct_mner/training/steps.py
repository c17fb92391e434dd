"""Number of steps of a run, and what one of them takes."""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from instruct_mner.training.optimizer_settings import OptimizerSettings

TRIAL_STEPS = 2
"""Number of steps that are tried: the first also allocates what the others find there."""


def steps_of_an_epoch(optimizer: OptimizerSettings, num_posts: int, num_processes: int = 1) -> int:
    """Return the number of steps in which every post is seen once.

    Source: ``Trainer.set_initial_training_values`` of transformers 5.19.
    """
    batches = math.ceil(num_posts / (optimizer.batch_size * num_processes))
    return max(1, math.ceil(batches / optimizer.gradient_accumulation_steps))


def count_steps(optimizer: OptimizerSettings, num_posts: int, num_processes: int = 1) -> int:
    """Return the number of steps of a run.

    Args:
        optimizer: Settings of the training loop.
        num_posts: Number of posts to train on.
        num_processes: Number of processes that share each step.
    """
    if optimizer.max_steps is not None:
        return optimizer.max_steps
    return math.ceil(optimizer.epochs * steps_of_an_epoch(optimizer, num_posts, num_processes))


def count_evaluations(num_steps: int, every: int) -> int:
    """Return how often the dev subset is scored: so many steps apart, and after the last one.

    Source: ``DefaultFlowCallback`` of transformers 5.19.
    """
    return math.ceil(num_steps / every)


class StepClock(TrainerCallback):  # type: ignore[misc]
    """Callback that keeps the time of each step, in seconds."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._begun = 0.0

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Begin a step."""
        self._begun = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """End the step."""
        self.seconds.append(time.monotonic() - self._begun)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Size of a run, from some of its steps.

    Attributes:
        num_steps: Number of steps.
        step_seconds: Times of the steps that were tried, in seconds.
        num_evaluations: Number of times that the dev subset is scored.
        dev_seconds: Estimated time of one of them, in seconds.
        peak_bytes: Largest memory of the steps that were tried, in bytes.
        num_dev_posts: Number of posts of the dev subset.
    """

    num_steps: int
    step_seconds: Sequence[float]
    num_evaluations: int
    dev_seconds: float
    peak_bytes: int
    num_dev_posts: int = 0

    @property
    def seconds(self) -> float:
        """Time of the whole run, in seconds."""
        return self.num_steps * self.step_seconds[-1] + self.num_evaluations * self.dev_seconds

    def tagging_seconds(self, num_posts: int) -> float | None:
        """Return the time of tagging posts, in seconds; ``None`` without a dev set, by which it is measured."""
        return self.dev_seconds / self.num_dev_posts * num_posts if self.num_dev_posts else None

    def describe(self) -> str:
        """Return steps, time and memory as lines for people."""
        place = "GPU memory" if torch.cuda.is_available() else "memory"
        training = timedelta(seconds=round(self.num_steps * self.step_seconds[-1]))
        scoring = timedelta(seconds=round(self.num_evaluations * self.dev_seconds))
        tried = ", ".join(f"{seconds:.2f}" for seconds in self.step_seconds)
        return "\n".join(
            (
                f"steps    {self.num_steps}, about {training} (steps tried here: {tried} s)",
                f"dev      scored {self.num_evaluations} times, about {scoring} together",
                f"peak     {self.peak_bytes / 2**30:.1f} GiB of {place} in these steps; longer posts take more",
            )
        )


def peak_bytes() -> int:
    """Return the largest memory so far: of the GPU, or without one of the process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # kibibytes on Linux
