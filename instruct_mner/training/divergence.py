"""End of a training that has diverged: a loss, gradient or weight is no finite number, and none after it will be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from instruct_mner.errors import ConfigError
from instruct_mner.training.sharding import in_any_process

_NAMES = {"loss": "the loss", "grad_norm": "the norm of the gradient"}


def check_step(logs: Mapping[str, float], step: int, checkpoints: Path) -> None:
    """Refuse to go on behind a step whose loss or gradient is no finite number.

    Args:
        logs: Values of the step, the same in all processes.
        step: Number of the step.
        checkpoints: Folder of the checkpoints.

    Raises:
        ConfigError: The training has diverged.
    """
    found = [f"{words} is {logs[name]}" for name, words in _NAMES.items() if not math.isfinite(logs.get(name, 0.0))]
    if found:
        raise _diverged(f"step {step}: {' and '.join(found)}", checkpoints)


def check_weights(model: nn.Module, step: int, checkpoints: Path) -> None:
    """Refuse weights that are trained and hold what is no finite number; all processes must call this.

    Args:
        model: Model that is trained.
        step: Number of the step that made the weights.
        checkpoints: Folder of the checkpoints.

    Raises:
        ConfigError: The training has diverged.
    """
    weights = [each.detach() for each in model.parameters() if each.requires_grad]
    own = (each.to_local() if isinstance(each, DTensor) else each for each in weights)
    [broken] = in_any_process(not all(bool(torch.isfinite(each).all()) for each in own))
    if broken:
        raise _diverged(f"step {step}: weights are infinite or NaN", checkpoints)


def _diverged(found: str, checkpoints: Path) -> ConfigError:
    return ConfigError(
        f"{found}, so the training has diverged and ends without a result; begin anew with a lower learning_rate or "
        f"more warmup_steps, and look at the posts of train (instruct-mner validate). Checkpoints of the steps before "
        f"stay in {checkpoints}"
    )
