"""Makes the objectives of a run, and saves and loads what they have learned."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from instruct_mner.alignment.build import Shape, build_objectives, resolved
from instruct_mner.alignment.settings import AlignmentSettings
from instruct_mner.errors import ModelError
from instruct_mner.files import read_text, replacing

FOLDER = "alignment"
"""In a run folder, where a mode of tagging uses the heads."""
CHECKPOINT = "alignment.safetensors"
"""Beside the weights of a checkpoint."""
_WEIGHTS, _SHAPE = "heads.safetensors", "alignment.json"


def uses_heads(settings: AlignmentSettings) -> bool:
    """Whether tagging has a use for what was learned: a picture from the text, or what a mention looks at."""
    return settings.generative is not None or settings.region_span_grounding is not None


def save_heads(folder: Path, objectives: Any, settings: AlignmentSettings, shape: Shape) -> None:
    """Saves the heads for tagging, with all that is needed to make them again.

    Args:
        folder: ``alignment`` of a run folder.
        objectives: The module that holds them.
        settings: Of the run.
        shape: What they were made for.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(_tensors(objectives), folder / _WEIGHTS)
    described = {"settings": resolved(settings, shape).model_dump(mode="json"), "shape": asdict(shape)}
    with replacing(folder / _SHAPE) as file:
        file.write(json.dumps(described, indent=2) + "\n")


def load_heads(folder: Path) -> tuple[AlignmentSettings, dict[str, Any]]:
    """The objectives of a run by name, as they were saved, with their settings.

    Raises:
        ModelError: They are not there, or not of this version.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

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
    return settings, dict(modules.eval().items())


def save_checkpoint(path: Path, heads: nn.Module) -> None:
    """Saves the heads beside a checkpoint."""
    from safetensors.torch import save_file

    save_file(_tensors(heads), path)


def load_checkpoint(path: Path, heads: nn.Module) -> None:
    """Loads the heads of a checkpoint."""
    from safetensors.torch import load_file

    heads.load_state_dict(load_file(path))


def _tensors(heads: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().contiguous().clone() for name, value in heads.state_dict().items()}
