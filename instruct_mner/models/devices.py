"""Devices on which a model runs, by name."""

from __future__ import annotations

import torch

from instruct_mner.errors import ConfigError

ALL_GPUS = "auto"
"""Name of the choice that spreads the layers of a model over all GPUs, by accelerate."""


def checked_device(name: str | None) -> torch.device | None:
    """Return the device of a name; ``None`` for none, and for ``auto``, where the weights are placed while loading.

    Args:
        name: ``cpu``, ``cuda``, ``cuda:1``, ``mps`` or ``auto``.

    Raises:
        ConfigError: There is no such device, or this machine does not have it.
    """
    if name is None or name == ALL_GPUS:
        return None
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in {"cpu", "cuda", "mps"}:
        raise ConfigError(f"device {name!r} is none; write cpu, cuda, cuda:1, mps, or auto for all GPUs")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigError(f"device {name!r}: this machine has no GPU of Apple that PyTorch can use; leave device out")
    num_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= num_gpus:
        raise ConfigError(f"device {name!r}: PyTorch sees {num_gpus} GPU(s) here; name another device, or leave it out")
    return device
