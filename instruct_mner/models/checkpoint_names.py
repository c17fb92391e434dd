"""Weights of whole models under the names that the checkpoints on the hub have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import safe_open
from safetensors.torch import save_file

from instruct_mner.files import replacing
from instruct_mner.models.families import Family

if TYPE_CHECKING:
    from torch import Tensor

    from instruct_mner.models.loading import Model


def save_whole(model: Model, folder: Path, family: Family) -> None:
    """Write a whole model with ``save_pretrained``, under names that vLLM reads too.

    Args:
        model: Model of transformers.
        folder: Folder to write.
        family: Family of the model.
    """
    model.save_pretrained(folder)
    restore_names(folder, family)


def restore_names(folder: Path, family: Family) -> None:
    """Give the weights in a folder names and shapes of the hub, where transformers saved them under others.

    transformers reads both; vLLM reads those of the hub alone.
    """
    if not family.hub_names and not family.hub_experts:
        return
    for path in folder.glob("*.safetensors"):
        _rename_tensors(path, family)
    for path in folder.glob("*.safetensors.index.json"):
        index = json.loads(path.read_text("utf-8"))
        index["weight_map"] = {hub_name(name, family): file for name, file in index["weight_map"].items()}
        with replacing(path) as file:
            file.write(json.dumps(index, indent=2, sort_keys=True) + "\n")


def hub_name(name: str, family: Family) -> str:
    """Return the name of a weight on the hub."""
    for saved, kept in family.hub_names.items():
        at = name.find(saved)
        if at >= 0 and not name.startswith(kept, at):
            return name[:at] + kept + name[at + len(saved) :]
    return name


def _rename_tensors(path: Path, family: Family) -> None:
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        width = _width(path.parent) if family.hub_experts else None
        names = list(file.keys())
        tensors = {hub_name(name, family): _hub_shape(name, file.get_tensor(name), width) for name in names}
    beside = path.with_name(f"{path.name}.partial")
    save_file(tensors, beside, metadata)
    beside.replace(path)


def _width(folder: Path) -> int:
    """Return the width of the decoder of the model in a folder."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    return int(config["text_config"]["hidden_size"])


# Inputs of experts, and their outputs, are as wide as the decoder.
_EXPERT_DIMENSION = {"experts.gate_up_proj": 1, "experts.down_proj": 2}


def _hub_shape(name: str, weight: Tensor, width: int | None) -> Tensor:
    """Return the weights of experts with a row for each input.

    Source: ``qwen3_vl_moe`` in transformers' ``conversion_mapping``, 5.19, which turns them when it loads a model, and
    leaves them so when it saves one that was made anew.
    """
    for ending, dimension in _EXPERT_DIMENSION.items():
        if width is not None and name.endswith(ending) and weight.shape[dimension] != width:
            return weight.transpose(1, 2).contiguous()
    return weight
