"""The ``config.json`` of a model, read without a framework, for checks that come before torch."""

from __future__ import annotations

import json
from pathlib import Path

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

from instruct_mner.models.locations import SMOLLM2, STARTER, STARTER_135M, STARTER_FOLDER


def takes_pictures(name: str | Path, revision: str | None = None) -> bool | None:
    """Return whether a model takes pictures; ``None`` where its config is not on this machine.

    Args:
        name: Hub name or folder, ``starter`` or ``smollm2``.
        revision: Commit, branch or tag on the hub.
    """
    if name == SMOLLM2:
        return False
    # The joined model has the starter's vision tower.
    path = _config_path(STARTER_FOLDER if name in (STARTER, STARTER_135M) else Path(name), revision)
    if path is None:
        return None
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # the error comes with the name of the model, when it is loaded
    return "vision_config" in config if isinstance(config, dict) else None


def _config_path(folder: Path, revision: str | None) -> Path | None:
    path = folder / "config.json"
    if folder.is_dir():
        return path if path.is_file() else None
    try:
        cached = try_to_load_from_cache(str(folder), "config.json", revision=revision)
    except HFValidationError:  # no name of the hub
        return None
    return Path(cached) if isinstance(cached, str) else None
