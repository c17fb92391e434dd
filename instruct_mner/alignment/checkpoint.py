"""Files with the weights of objectives: beside checkpoints, and in run folders for tagging."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from instruct_mner.alignment.build import ObjectiveModule, Shape, build_objectives, resolved
from instruct_mner.alignment.settings import AlignmentSettings
from instruct_mner.errors import ModelError
from instruct_mner.files import read_text, replacing

FOLDER = "alignment"
"""Name of the folder of heads in a run folder."""
CHECKPOINT = "alignment.safetensors"
"""Name of the file of heads beside the weights of a checkpoint."""
_WEIGHTS, _SHAPE = "heads.safetensors", "alignment.json"


def uses_heads(settings: AlignmentSettings) -> bool:
    """Return true where tagging can use the heads: for generated pictures, or for maps of a mention's attention."""
    return settings.generative is not None or settings.region_span_grounding is not None


def save_heads(folder: Path, objectives: nn.Module, settings: AlignmentSettings, shape: Shape) -> None:
    """Write the heads for tagging, with their settings and shape.

    Args:
        folder: Folder ``alignment`` of a run folder.
        objectives: Module that holds the objectives.
        settings: Section ``alignment`` of the run's config.
        shape: Numbers of the model and the run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_file(_tensors(objectives), folder / _WEIGHTS)
    described = {"settings": resolved(settings, shape).model_dump(mode="json"), "shape": asdict(shape)}
    with replacing(folder / _SHAPE) as file:
        file.write(json.dumps(described, indent=2) + "\n")


def load_heads(folder: Path) -> tuple[AlignmentSettings, dict[str, ObjectiveModule]]:
    """Read the objectives of a run by name, with their settings.

    Raises:
        ModelError: The folder holds no heads, or none of this version.
    """
    if not (folder / _SHAPE).is_file() or not (folder / _WEIGHTS).is_file():
        raise ModelError(f"{folder} holds no heads of alignment objectives; name the run folder that trained them")
    try:
        described = json.loads(read_text(folder / _SHAPE))
        settings = AlignmentSettings.model_validate(described["settings"])
        made = build_objectives(settings, Shape(**described["shape"]), seed=0)
        modules = nn.ModuleDict({each.name: each for each in made})
        modules.load_state_dict(load_file(folder / _WEIGHTS))
    except (ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        first = str(error).strip().split("\n")[0]
        raise ModelError(f"{folder} cannot be read ({first}); put back what 'finetune' wrote there") from error
    modules.eval()
    return settings, {each.name: each for each in made}


def save_checkpoint(path: Path, heads: nn.Module) -> None:
    """Write the heads beside a checkpoint."""
    save_file(_tensors(heads), path)


def load_checkpoint(path: Path, heads: nn.Module) -> None:
    """Read the heads of a checkpoint into a module."""
    heads.load_state_dict(load_file(path))


def _tensors(heads: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().contiguous().clone() for name, value in heads.state_dict().items()}
