"""Checkpoints of a run, from which a killed run goes on with the same result."""

from __future__ import annotations

import json
from difflib import unified_diff
from pathlib import Path

from instruct_mner.errors import ConfigError, MnerError, listing
from instruct_mner.files import check_place, replacing
from instruct_mner.models.config_file import takes_pictures
from instruct_mner.training.config import FinetuneConfig, load_config
from instruct_mner.training.reinforcement_settings import ReinforcementSettings

# File that is written last into a checkpoint: a run may be killed while transformers writes the others.
COMPLETE = "complete"


def is_finished(folder: Path) -> bool:
    """Return true for the folder of a finished run, which writes its model card last."""
    return (folder / "README.md").is_file()


def is_done(config: FinetuneConfig) -> bool:
    """Return whether the run of a config is finished.

    Raises:
        ConfigError: A run of other settings is.
    """
    if not is_finished(config.output):
        return False
    check_run_folder(config, resume=True)
    return True


def output_setting(config: FinetuneConfig) -> str:
    """Return the name of the setting that names the run folder, for messages."""
    return "reinforcement.output" if config.reinforcement.output == config.output else "output"


def check_run_folder(config: FinetuneConfig, *, resume: bool) -> None:
    """Refuse a folder in which the run may not be.

    Args:
        config: Config of the run.
        resume: Whether an earlier run in the folder may be continued.

    Raises:
        ConfigError: The folder cannot be made, is in use, or holds a run of other settings.
    """
    check_run_place(config)
    folder, name = config.output, output_setting(config)
    used = folder.exists() and any(folder.iterdir())
    if used and not resume:
        raise ConfigError(
            f"{name}: {folder} exists and is not empty; choose another (--set {name}=…), remove it, or continue the "
            "run in it (--resume)"
        )
    if used:
        # Of a model that reads text only, the config that a run keeps says that no picture is shown.
        shown = 0 if takes_pictures(config.model, config.revision) is False else config.max_images
        _check_same_settings(folder, config.model_copy(update={"max_images": shown}))


def check_run_place(config: FinetuneConfig) -> None:
    """Refuse a place in which no run folder can be.

    Raises:
        ConfigError: The folder, or that of the features of pictures, cannot be made.
    """
    folder, name = config.output, output_setting(config)
    check_place(folder)
    if config.vision_cache.folder is not None:
        check_place(config.vision_cache.folder / "features")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{name}: {folder} is a file; choose another (--set {name}=…)")


def open_run_folder(config: FinetuneConfig) -> Path | None:
    """Make the run folder, or find the last checkpoint of an earlier run in it.

    Returns:
        The last complete checkpoint; ``None`` for a new run.
    """
    folder = config.output
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "config.yaml") as file:
        file.write(config.to_yaml())
    checkpoint = _last_complete(folder / "checkpoints")
    # Without a checkpoint the score before the first step comes again, too.
    _cut_metrics(folder / "metrics.jsonl", -1 if checkpoint is None else _step(checkpoint))
    return checkpoint


def _check_same_settings(folder: Path, config: FinetuneConfig) -> None:
    path = folder / "config.yaml"
    if not path.is_file():
        raise ConfigError(
            f"--resume: {folder} has no config.yaml, so it is not a run that can be continued; choose another "
            f"folder (--set {output_setting(config)}=…) or remove it"
        )
    before, now = _settings(path, config), _used(config, config).to_yaml()
    lines = list(unified_diff(before.splitlines(), now.splitlines(), lineterm="", n=0))[2:]
    changed = [line for line in lines if line.startswith(("-", "+"))]
    if changed:
        raise ConfigError(
            f"--resume: the settings are not those of {path}; take these back, or choose another folder:\n"
            f"{listing(changed)}"
        )


def _settings(path: Path, config: FinetuneConfig) -> str:
    """Return the settings of an earlier run under the names and with the defaults of today."""
    try:
        return _used(load_config(path), config).to_yaml()
    except MnerError:
        return path.read_text(encoding="utf-8")


def _used(settings: FinetuneConfig, config: FinetuneConfig) -> FinetuneConfig:
    """Return settings without those that the run of a config does not use: fine-tuning that of reinforcement."""
    reinforces = output_setting(config) != "output"
    return settings if reinforces else settings.model_copy(update={"reinforcement": ReinforcementSettings()})


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _last_complete(folder: Path) -> Path | None:
    """Return the newest complete checkpoint; incomplete ones are overwritten when their step comes again."""
    complete = [checkpoint for checkpoint in folder.glob("checkpoint-*") if (checkpoint / COMPLETE).exists()]
    return max(complete, key=_step, default=None)


def _cut_metrics(path: Path, step: int) -> None:
    """Drop the lines of steps that will be repeated, and a line that was cut."""
    if not path.exists():
        return
    whole = path.read_text(encoding="utf-8").rpartition("\n")[0].split("\n")
    with replacing(path) as file:
        file.writelines(line + "\n" for line in whole if line and json.loads(line)["step"] <= step)
