"""AdamW for bfloat16 weights with float32 masters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


class MasterAdamW:
    """Optimizer that steps float32 copies of bfloat16 weights and rounds them back.

    Args:
        weights: Weights to train.
        learning_rate: Peak of the learning rate; :meth:`step` scales it.
    """

    def __init__(self, weights: Iterable[Any], learning_rate: float) -> None:
        import torch

        self._weights = [weight for weight in weights if weight.requires_grad]
        self._masters = [weight.detach().float().clone().requires_grad_() for weight in self._weights]
        self._peak = learning_rate
        self._optimizer = torch.optim.AdamW(
            self._masters, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True
        )

    def state(self) -> dict[str, Any]:
        """Return the state as tensors by name: masters, moments, and the number of steps."""
        named = {f"master.{index}": master.detach() for index, master in enumerate(self._masters)}
        for index, values in self._optimizer.state_dict()["state"].items():
            named |= {f"{key}.{index}": value for key, value in values.items()}
        return named

    def load(self, state: Mapping[str, Any]) -> None:
        """Take a state of :meth:`state`; the weights become the rounded masters."""
        import torch

        moments: dict[int, dict[str, Any]] = {}
        for name, value in state.items():
            key, _, index = name.rpartition(".")
            if key == "master":
                with torch.no_grad():
                    self._masters[int(index)].copy_(value)
                    self._weights[int(index)].copy_(value)
            else:
                moments.setdefault(int(index), {})[key] = value
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": moments, "param_groups": groups})

    def step(self, scale: float, max_norm: float = 1.0) -> None:
        """Step with ``scale`` of the learning rate; gradients are clipped and cleared."""
        import torch

        for group in self._optimizer.param_groups:
            group["lr"] = self._peak * scale
        for weight, master in zip(self._weights, self._masters, strict=True):
            master.grad = torch.zeros_like(master) if weight.grad is None else weight.grad.float()
            weight.grad = None
        torch.nn.utils.clip_grad_norm_(self._masters, max_norm)
        self._optimizer.step()
        with torch.no_grad():
            for weight, master in zip(self._weights, self._masters, strict=True):
                weight.copy_(master)
