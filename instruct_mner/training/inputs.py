"""Identity of all that a run is made from, by which a run that is continued knows that it is still the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from instruct_mner.errors import ConfigError, listing
from instruct_mner.files import read_text, replacing
from instruct_mner.models.locations import locate
from instruct_mner.models.weights_hash import weights_hash
from instruct_mner.training.checkpoints import output_setting
from instruct_mner.training.setup import Run

FILE_NAME = "inputs.json"


def inputs_of(run: Run) -> dict[str, str | None]:
    """Return the hash of each input of a run, by its name.

    Args:
        run: Parts of the run.
    """
    inputs: dict[str, str | None] = {
        stamp.name if stamp.role == "evaluation" else stamp.role: stamp.sha256 for stamp in run.sources.stamps
    }
    for role, dataset in (("train", run.sources.train), ("dev", run.sources.dev)):
        if dataset is not None:
            inputs[f"pictures of {role}"] = dataset.pictures_sha256
    base = run.config.model
    inputs[f"base {base}"] = run.loaded.revision or weights_hash(Path(locate(base)))
    inputs[f"prompt {run.prompt.name}"] = run.prompt.sha256
    return inputs


def check_inputs(run: Run, checkpoints: Path, further: Mapping[str, str] | None = None) -> None:
    """Refuse to go on with a run whose data or base have changed, and note them for the next time.

    Args:
        run: Parts of the run.
        checkpoints: Folder of the checkpoints.
        further: Hash of each further input, by its name.

    Raises:
        ConfigError: Something has changed; the message names it.
    """
    path, now = checkpoints / FILE_NAME, {**inputs_of(run), **(further or {})}
    if path.is_file():
        before = json.loads(read_text(path))
        changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        if changed:
            raise ConfigError(
                f"--resume: the contents of these have changed since {checkpoints.parent} began; put them back, or "
                f"begin again in another folder (--set {output_setting(run.config)}=…):\n{listing(changed)}"
            )
        return
    with replacing(path) as file:
        file.write(json.dumps(now, indent=2) + "\n")
