"""Checks of a model that need only its small files, before torch and before its weights are loaded."""

from __future__ import annotations

from pathlib import Path

from instruct_mner.errors import ConfigError
from instruct_mner.models import config_file
from instruct_mner.models.hub import check_whole_model
from instruct_mner.models.locations import SMOLLM2, STARTER_135M, STARTER_135M_FOLDER, locate
from instruct_mner.models.manifest import Manifest
from instruct_mner.models.tuned import heads_folder, tuned_folder
from instruct_mner.models.weights_hash import weights_hash
from instruct_mner.schema.labels import LabelSet
from instruct_mner.tagging.question import NO_LABELS, NO_LABELS_AT_ENDPOINT
from instruct_mner.tagging.settings import TaggingSettings


def check_labels_are_known(settings: TaggingSettings, labels: LabelSet | None) -> None:
    """Refuse to tag without labels where the model was not tuned for any.

    Args:
        settings: Settings of one process.
        labels: Labels that the user gives.

    Raises:
        ConfigError: There are none.
    """
    if labels is None and settings.adapter is None and _tuned_folder(settings) is None:
        raise ConfigError(NO_LABELS if settings.endpoint is None else NO_LABELS_AT_ENDPOINT)


def check_base(settings: TaggingSettings) -> None:
    """Refuse a base model that is not there: its own name, or the base that an adapter was tuned on.

    Args:
        settings: Settings of one process.

    Raises:
        ModelError: There is no such model.
    """
    if settings.endpoint is not None:
        return
    folder = _tuned_folder(settings)
    if folder is None:
        check_whole_model(str(settings.local_name))
    elif (manifest := Manifest.load(folder)[0]).tuning != "full":
        check_whole_model(*manifest.base_at(settings.base_model))


def takes_pictures(settings: TaggingSettings) -> bool | None:
    """Return whether the model of this process takes pictures; ``None`` where that is not known before it is loaded."""
    folder = _tuned_folder(settings)
    if folder is None:
        return config_file.takes_pictures(settings.local_name)
    if not (folder / "mner.json").is_file():
        return None
    return Manifest.load(folder)[0].max_images > 0


def weights_of(settings: TaggingSettings, manifest: Manifest) -> list[str | None]:
    """Return the hashes of all weights of this process: the adapter's or model's, its base's, and its generator's.

    Args:
        settings: Settings of one process.
        manifest: Manifest of the model.
    """
    folder = _tuned_folder(settings)
    base = locate(settings.base_model or manifest.base_model)
    heads = heads_folder(settings.local_name) if settings.generated else None
    return [None if path is None else weights_hash(Path(path)) for path in (folder, base, heads)]


def _tuned_folder(settings: TaggingSettings) -> Path | None:
    name = settings.adapter or settings.model
    if name == STARTER_135M and settings.endpoint is None:
        return STARTER_135M_FOLDER  # its settings are there before it is prepared, which needs torch
    # A name that only torch can locate is that of no tuned model.
    return None if name is None or name == SMOLLM2 or settings.endpoint is not None else tuned_folder(name)
