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
    """Rename the weights in a folder to the names of the hub, where transformers saved them under other names.

    transformers reads both; vLLM reads those of the hub alone.
    """
    if not family.hub_names:
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
        tensors = {hub_name(name, family): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    beside = path.with_name(f"{path.name}.partial")
    save_file(tensors, beside, metadata)
    beside.replace(path)
