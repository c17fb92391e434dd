"""Size of the gradient of each objective on the weights that are tuned, against that of the answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from instruct_mner.training.sharding import whole
from instruct_mner.training.zero3 import is_part

FIRST_STEPS = 3
"""Number of steps at the beginning, by which an objective that outweighs the answer is told."""
MEASURED_STEPS = (*range(FIRST_STEPS), 30, 60, 90)
"""Steps that are measured, from 0: the later ones, as heads begin at random and have next to no gradient before they
have learned something."""
METRIC = "gradient_share"
_LEAST, _MOST = 1e-3, 1.0
# Number of weights that are enough to measure on: all of a LoRA, a part of a model that is tuned in full.
_ENOUGH = 50_000_000


def measured_weights(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    """Return the parameters to measure on: all that are tuned, or some of very many, to save memory.

    None of a whole model in parts: FSDP keeps the gradients of what no layer holds elsewhere until the step.
    """
    tuned = [parameter for parameter in parameters if parameter.requires_grad and not is_part(parameter)]
    if len({isinstance(parameter, DTensor) for parameter in tuned}) > 1:
        return []
    if sum(parameter.numel() for parameter in tuned) <= _ENOUGH:
        return tuned
    # Random numbers of its own: training does not change with it.
    Random(0).shuffle(tuned)  # noqa: S311
    chosen: list[nn.Parameter] = []
    for parameter in tuned:
        if not chosen or sum(each.numel() for each in chosen) + parameter.numel() <= _ENOUGH:
            chosen.append(parameter)
    return chosen


def gradient_norm(loss: Tensor, weights: Sequence[nn.Parameter]) -> float:
    """Return the norm of the gradient of a loss on some weights.

    The gradients of the step stay as they are; only where weights lie in parts, they must be dropped afterwards.
    """
    if any(isinstance(weight, DTensor) for weight in weights):
        return _norm_in_parts(loss, weights)
    gradients = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    norms = [gradient.float().norm() for gradient in gradients if gradient is not None]
    return torch.stack(norms).norm().item() if norms else 0.0


def _norm_in_parts(loss: Tensor, weights: Sequence[nn.Parameter]) -> float:
    """Return the norm of the mean gradient of all processes: FSDP gathers it in a backward pass alone."""
    for weight in weights:
        weight.grad = None
    loss.backward(retain_graph=True)  # type: ignore[no-untyped-call]
    norm = nn.utils.get_total_norm([weight.grad for weight in weights if weight.grad is not None])
    return whole(norm).item()


class GradientShares:
    """Shares of the steps that are measured, from which an objective that is out of scale is told."""

    def __init__(self) -> None:
        self._shares: dict[str, list[float]] = {}
        self._seen_first = False

    def add(self, logs: dict[str, float]) -> None:
        """Add the shares of a step from its line in the log."""
        for name, value in logs.items():
            objective, _, metric = name.rpartition("/")
            if metric == METRIC:
                self._shares.setdefault(objective, []).append(value)

    def outweighing(self) -> list[str]:
        """Return a line for each objective whose mean share of the first steps is too large; later calls have none.

        Later the gradient of the answer vanishes, and shares grow.
        """
        means = {name: sum(shares) / len(shares) for name, shares in self._shares.items()}
        found = {} if self._seen_first else {name: mean for name, mean in means.items() if mean > _MOST}
        self._seen_first = True
        return [_line(name, mean) for name, mean in found.items()]

    def idle(self) -> list[str]:
        """Return a line for each objective whose share has been too small in all steps, and forget the shares."""
        largest = {name: max(shares) for name, shares in self._shares.items()}
        self._shares.clear()
        return [_line(name, share) for name, share in largest.items() if share < _LEAST]


def _line(name: str, share: float) -> str:
    small = share < _LEAST
    effect = "trains next to nothing that is served: raise" if small else "outweighs the answer: lower"
    return (
        f"alignment.{name} {effect} its weights (its gradient on the tuned weights is {share:.2g} of the answer's; "
        f"{_LEAST:g} to {_MOST:g} is usual)"
    )
