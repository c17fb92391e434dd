"""Trackers of experiments: Trainer's own callbacks, beside ``metrics.jsonl`` and ``loss.png``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from instruct_mner.errors import ConfigError, listing
from instruct_mner.schema.choices import Tracker

if TYPE_CHECKING:
    from transformers import TrainerCallback

PROJECT = "instruct-mner"
"""Project under which the trackers that have projects file a run."""

_MODULES: dict[Tracker, tuple[str, ...]] = {
    "tensorboard": ("tensorboard", "tensorboardX"),
    "trackio": ("trackio",),
    "wandb": ("wandb",),
    "mlflow": ("mlflow",),
}


def check_trackers(trackers: Sequence[Tracker]) -> None:
    """Refuse trackers that are not installed.

    Raises:
        ConfigError: Some are not; the message names all of them.
    """
    absent = [each for each in trackers if not any(find_spec(module) for module in _MODULES[each])]
    if absent:
        raise ConfigError(
            f"report_to: not installed:\n{listing(absent)}\n  pip install {' '.join(absent)}, or take them out of "
            "report_to; metrics.jsonl and loss.png are written without any"
        )


def tracker_callbacks(trackers: Sequence[Tracker], folder: Path) -> Iterator[TrainerCallback]:
    """Yield the callback of each tracker.

    Args:
        trackers: Names of the trackers.
        folder: Run folder, in which TensorBoard has ``tensorboard``: that of the checkpoints is removed in the end.
    """
    from transformers.integrations.integration_utils import get_reporting_integration_callbacks

    for name, callback in zip(trackers, get_reporting_integration_callbacks(list(trackers)), strict=True):
        made = callback()
        if name == "tensorboard" and made.logging_dir is None:
            made.logging_dir = str(folder / "tensorboard")
        yield made
