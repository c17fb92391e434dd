"""Adapters for tests of what is served: that of the demo, with other values in its manifest."""

from __future__ import annotations

import shutil
from pathlib import Path

from instruct_mner.models.manifest import Manifest

DEMO = Path(__file__).parents[2] / "eval" / "results" / "starter-demo"


def adapter_at(folder: Path, **values: object) -> str:
    """Copy the adapter of the demo to a folder, as one whose manifest has other values."""
    shutil.copytree(DEMO, folder)
    manifest, prompt = Manifest.load(folder)
    manifest.model_copy(update=values).save(folder, prompt)
    return str(folder)
