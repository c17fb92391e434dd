"""Features of pictures that a frozen vision tower and its projector compute once, and that are kept.

A forward of a family calls ``get_image_features`` of its inner model, which is replaced: pictures (or tiles, of which
the processor makes several of a picture) whose features are kept are left out of the call. What is kept is named by
the pixels that the tower would be given, so that a picture that was changed or resized is another one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from instruct_mner.models.feature_store import FeatureStore
from instruct_mner.models.generated_pictures import encoder_outputs
from instruct_mner.models.loading import LoadedModel

if TYPE_CHECKING:
    from transformers.utils import ModelOutput

_KEY_BYTES = 16
# Names under which modules of attention keep a rate of dropout.
_RATES = ("dropout", "attention_dropout")


def keep_features(loaded: LoadedModel, store: FeatureStore) -> None:
    """Let the forwards of a model take features of pictures from a store, and put those that are new into it.

    Args:
        loaded: Model whose vision tower and projector are frozen.
        store: Store of a folder for this tower; see :func:`tower_hash`.
    """
    inner: Any = loaded.base.model
    whole = inner.get_image_features
    signature = inspect.signature(whole)

    @wraps(whole)
    def get_image_features(*arguments: Any, **named: Any) -> ModelOutput:
        bound = signature.bind(*arguments, **named).arguments
        bound |= bound.pop("kwargs", {})
        units = _units(bound)
        if not units:
            return cast("ModelOutput", whole(*arguments, **named))
        with torch.no_grad():
            rows = _rows(units, store, lambda some: _computed(whole(**{**bound, **units.chosen(some)})))
        features = [row.to(bound["pixel_values"].device) for row in rows]
        return encoder_outputs(loaded, features)["image"]

    inner.get_image_features = get_image_features


def tower_hash(loaded: LoadedModel) -> str:
    """Return a hash of the weights of vision tower and projector."""
    whole = blake2b(digest_size=_KEY_BYTES)
    for name, parameter in sorted(loaded.base.named_parameters()):
        if any(name.startswith(f"{path}.") for path in loaded.family.vision_paths) or "image_newline" in name:
            whole.update(f"{name} {parameter.dtype} {tuple(parameter.shape)}".encode())
            whole.update(_bytes(parameter))
    return whole.hexdigest()


def draws_random_numbers(loaded: LoadedModel) -> bool:
    """Return true where a vision tower has dropout, so that its features are not the same twice."""
    towers = [loaded.base.get_submodule(path) for path in loaded.family.vision_paths]
    return any(
        (isinstance(module, nn.Dropout) and module.p > 0)
        or any(isinstance(rate := getattr(module, name, 0.0), float) and rate > 0 for name in _RATES)
        for tower in towers
        for module in tower.modules()
    )


class _Units:
    """Pictures or tiles of a call, which are computed independently of each other.

    Args:
        tensors: Arguments of each unit, by name.
        joined: Function that returns the arguments of a call with some units.
    """

    def __init__(
        self,
        tensors: Sequence[Mapping[str, Tensor]],
        joined: Callable[[Sequence[Mapping[str, Tensor]]], dict[str, Tensor]],
    ) -> None:
        self._tensors = tensors
        self._joined = joined

    def __len__(self) -> int:
        """Return the number of units."""
        return len(self._tensors)

    def chosen(self, some: Sequence[int]) -> dict[str, Tensor]:
        """Return the arguments of a call with some of the units."""
        return self._joined([self._tensors[number] for number in some])

    def keys(self) -> list[bytes]:
        """Return the key of each unit: a hash of all that the tower is given."""
        keys = []
        for tensors in self._tensors:
            key = blake2b(digest_size=_KEY_BYTES)
            for name, tensor in sorted(tensors.items()):
                key.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
                key.update(_bytes(tensor))
            keys.append(key.digest())
        return keys


def _bytes(tensor: Tensor) -> Any:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()


def _units(arguments: Mapping[str, Any]) -> _Units | None:
    """Return the units of a call; ``None`` where they cannot be told apart."""
    tensors = {name: value for name, value in arguments.items() if isinstance(value, Tensor)}
    pixels = tensors.get("pixel_values")
    if pixels is None:
        return None
    if "image_grid_thw" in tensors:  # the line of Qwen2-VL: patches of all pictures in one row
        grids = tensors["image_grid_thw"]
        patches = torch.split(pixels, grids.prod(-1).tolist())
        return _Units(
            [{"pixel_values": rows, "image_grid_thw": grid[None]} for rows, grid in zip(patches, grids, strict=True)],
            lambda some: {
                name: torch.cat([unit[name] for unit in some]) for name in ("pixel_values", "image_grid_thw")
            },
        )
    if tensors.pop("batch_num_images", torch.ones(1)).ne(1).any():  # LLaVA-OneVision does not cut these into tiles
        return None
    if "image_sizes" not in tensors and pixels.ndim == 5:  # Idefics3: tiles of posts, with padding of zeros
        real = pixels.flatten(0, 1).flatten(1).ne(0).any(1)
        flat = {name: value.flatten(0, 1)[real] for name, value in tensors.items()}
        return _Units(
            _each(flat), lambda some: {name: torch.stack([unit[name] for unit in some])[None] for name in flat}
        )
    if any(len(value) != len(pixels) for value in tensors.values()):
        return None
    single = {"batch_num_images": torch.ones(0)} if "batch_num_images" in arguments else {}
    return _Units(
        _each(tensors),
        lambda some: {
            **{name: torch.stack([unit[name] for unit in some]) for name in tensors},
            **{name: torch.ones(len(some), dtype=torch.long) for name in single},
        },
    )


def _each(tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    return [{name: value[number] for name, value in tensors.items()} for number in range(len(tensors["pixel_values"]))]


def _computed(output: Any) -> list[Tensor]:
    """Return the features of each unit, ``(tokens, features)``, those of DeepStack beside its embeddings."""
    parts = [list(output.pooler_output), *map(list, getattr(output, "deepstack_features", None) or ())]
    return [torch.cat(unit, dim=-1) for unit in zip(*parts, strict=True)]


def _rows(units: _Units, store: FeatureStore, compute: Callable[[Sequence[int]], list[Tensor]]) -> list[Tensor]:
    keys = units.keys()
    rows = {key: store.get(key) for key in dict.fromkeys(keys)}
    new = [number for number, key in enumerate(keys) if rows[key] is None and keys.index(key) == number]
    for number, computed in zip(new, compute(new) if new else [], strict=True):
        rows[keys[number]] = computed
        store.put(keys[number], computed)
    return [features for key in keys if (features := rows[key]) is not None]
