"""Checkpoints of a run, from which a killed run goes on with the same result."""

from __future__ import annotations

import json
import shutil
from difflib import unified_diff
from pathlib import Path

from instruct_mner.errors import ConfigError, DataError, MnerError, listing
from instruct_mner.files import check_place, replacing
from instruct_mner.models.config_file import takes_pictures
from instruct_mner.training.config import FinetuneConfig, load_config
from instruct_mner.training.reinforcement_settings import ReinforcementSettings

# File that is written last into a checkpoint, and removed first: a run may be killed while transformers writes the
# others. It holds their sizes.
COMPLETE = "complete"
_MOST_KEPT = 2
_ANY = "checkpoint-*"


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

    Raises:
        DataError: It is damaged, or the best one before it is.
    """
    folder = config.output
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "config.yaml") as file:
        file.write(config.to_yaml())
    *before, checkpoint = None, *_complete(folder / "checkpoints")
    if checkpoint is not None:
        _check_whole(checkpoint, before[-1], output_setting(config))
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
    """Return settings without those that the run of a config does not use, and under the name that its folder has now.

    Fine-tuning does not use those of reinforcement.
    """
    reinforces = output_setting(config) != "output"
    further = settings.reinforcement.model_copy(update={"output": config.output})
    section = further if reinforces else ReinforcementSettings()
    return settings.model_copy(update={"output": config.output, "reinforcement": section})


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def checkpoint_of(folder: Path, step: int) -> Path:
    """Return the folder of the checkpoint of a step, in that of all checkpoints."""
    return folder / f"checkpoint-{step}"


def mark_complete(checkpoint: Path) -> None:
    """Mark a checkpoint of which all files are written."""
    sizes = {str(path.relative_to(checkpoint)): path.stat().st_size for path in _files(checkpoint)}
    with replacing(checkpoint / COMPLETE) as file:
        file.write(json.dumps(sizes, indent=2) + "\n")


def remove_old(newest: Path, best_step: int | None) -> None:
    """Remove the checkpoints that a run needs no more, when the newest is complete.

    Args:
        newest: Checkpoint of this step.
        best_step: Step of the best one, which is kept; ``None`` where none is chosen.
    """
    best = newest if best_step is None else checkpoint_of(newest.parent, best_step)
    others = [each for each in _complete(newest.parent) if each not in {newest, best}]
    kept = {newest, best, *(others[-1:] if len({newest, best}) < _MOST_KEPT else ())}
    for checkpoint in set(newest.parent.glob(_ANY)) - kept:
        (checkpoint / COMPLETE).unlink(missing_ok=True)
        shutil.rmtree(checkpoint, ignore_errors=True)


def _files(checkpoint: Path) -> list[Path]:
    return sorted(path for path in checkpoint.rglob("*") if path.is_file())


def _complete(folder: Path) -> list[Path]:
    """Return the complete checkpoints by step; incomplete ones are overwritten when their step comes again."""
    return sorted((each for each in folder.glob(_ANY) if (each / COMPLETE).exists()), key=_step)


def _check_whole(checkpoint: Path, before: Path | None, setting: str) -> None:
    """Refuse a checkpoint that is damaged, or whose best one is."""
    if damage := _damage(checkpoint):
        there = "begins anew" if before is None else f"goes on from {before.name}"
        raise DataError(f"{checkpoint} is damaged: {damage}; remove this folder, and --resume {there}")
    best_step = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))["best_global_step"]
    best = checkpoint if best_step is None else checkpoint_of(checkpoint.parent, best_step)
    if damage := _damage(best):
        raise DataError(
            f"{best}, the best so far, is damaged: {damage}; put it back from a copy, or begin anew in another "
            f"folder (--set {setting}=…)"
        )


def _damage(checkpoint: Path) -> str | None:
    """Return what is missing of a checkpoint that was complete; ``None`` where it is whole."""
    mark = checkpoint / COMPLETE
    if not mark.is_file():
        return f"{COMPLETE} is missing"
    for name, size in json.loads(mark.read_text(encoding="utf-8") or "{}").items():
        path = checkpoint / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size:
            return f"{name} has {path.stat().st_size} bytes of {size}"
    return None


def _cut_metrics(path: Path, step: int) -> None:
    """Drop the lines of steps that will be repeated, and a line that was cut."""
    if not path.exists():
        return
    whole = path.read_text(encoding="utf-8").rpartition("\n")[0].split("\n")
    with replacing(path) as file:
        file.writelines(line + "\n" for line in whole if line and json.loads(line)["step"] <= step)
