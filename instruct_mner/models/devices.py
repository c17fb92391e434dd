"""Devices on which a model runs, by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch

from instruct_mner.errors import ConfigError

ALL_GPUS = "auto"
"""Name of the choice that spreads the layers of a model over all GPUs, by accelerate."""

DeviceMap = str | Mapping[str, int | str]
"""Distribution of a model over devices: ``auto``, ``balanced`` or ``sequential``, or a device for each of its parts."""

_DISTRIBUTIONS = ("auto", "balanced", "balanced_low_0", "sequential")


def checked_device_map(device_map: DeviceMap | None, device: str | None = None) -> DeviceMap | None:
    """Return a distribution over devices, all of which are here; ``auto`` where the device is ``auto``.

    Args:
        device_map: Distribution: a name, or a device for each part of the model; ``""`` is the whole model.
        device: Name of the device, as of :func:`checked_device`.

    Raises:
        ConfigError: It is none, this machine does not have one of the devices, or a device is named beside it.
    """
    if device_map is None:
        return ALL_GPUS if device == ALL_GPUS else None
    if device is not None:
        raise ConfigError(f"device {device!r} beside device_map: give one of the two")
    if isinstance(device_map, str):
        if device_map not in _DISTRIBUTIONS:
            names = ", ".join(_DISTRIBUTIONS)
            raise ConfigError(
                f"device_map {device_map!r} is none; write {names}, or a device for each part of the model"
            )
        return device_map
    for part, place in device_map.items():
        if checked_device(f"cuda:{place}" if isinstance(place, int) else place) is None:
            raise ConfigError(f"device_map[{part!r}] is {place!r}; write cpu, cuda:1, or the number of a GPU")
    return dict(device_map)


@contextmanager
def device_map_errors(device_map: DeviceMap | None) -> Iterator[None]:
    """Raise one message where a model that is loaded in the block has parts without a device.

    Args:
        device_map: Distribution over devices.

    Raises:
        ConfigError: The distribution leaves out parts of the model.
    """
    try:
        yield
    except ValueError as error:
        if not isinstance(device_map, Mapping) or "device" not in str(error):
            raise
        raise ConfigError(f"device_map does not name a device for each part of the model: {error}") from error


def check_parts(device_map: DeviceMap | None, parts: Iterable[str]) -> None:
    """Refuse a distribution that names parts which a model does not have; accelerate would not say so.

    Args:
        device_map: Distribution over devices.
        parts: Names of all parts of the model.

    Raises:
        ConfigError: A part is none of the model.
    """
    unknown = sorted(set(device_map) - set(parts)) if isinstance(device_map, Mapping) else []
    if unknown:
        raise ConfigError(f"device_map[{unknown[0]!r}] is no part of the model; '' is the whole of it")


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
