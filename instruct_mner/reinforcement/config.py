"""Config of a run of reinforcement, from that of the run that it goes on from; needs no weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from instruct_mner.alignment.settings import AlignmentSettings
from instruct_mner.errors import ConfigError, listing
from instruct_mner.files import read_text
from instruct_mner.models.manifest import Manifest
from instruct_mner.models.tuned import tuned_folder
from instruct_mner.models.weights_hash import weights_hash
from instruct_mner.training.augmentation import AugmentationSettings
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.optimizer_settings import LoraSettings

# Parts of a manifest that say how posts are shown and answered.
_SAME = ("base_model", "family", "tuning", "pixels", "max_images", "context")


@dataclass(frozen=True, kw_only=True)
class Start:
    """Adapter that a run of reinforcement begins with.

    Attributes:
        folder: Folder of the adapter.
        manifest: Manifest of the adapter.
        sha256: Hash of the adapter's weights.
    """

    folder: Path
    manifest: Manifest
    sha256: str


def reinforced_config(config: FinetuneConfig) -> FinetuneConfig:
    """Return the config of the run: another run folder, plain posts, and the answer as only objective.

    Args:
        config: Config of the adapter's own run, as a rule.

    Raises:
        ConfigError: The run would tune all weights.
    """
    if not config.adapts:
        raise ConfigError("tuning: full: reinforce goes on from an adapter; fine-tune with tuning: lora or qlora first")
    settings = config.reinforcement
    own = {
        "adapter": settings.adapter or config.output,
        "output": settings.output or config.output.with_name(f"{config.output.name}-reinforced"),
    }
    return config.model_copy(
        update={
            "reinforcement": settings.model_copy(update=own),
            "output": own["output"],
            "alignment": AlignmentSettings(),
            "augmentation": AugmentationSettings(),
        }
    )


def left_out(config: FinetuneConfig) -> Iterator[str]:
    """Iterate over the remarks on settings of fine-tuning that reinforcement does not use, a line each."""
    if config.alignment.is_on:
        yield "alignment: its objectives are of fine-tuning; answers are drawn and scored without them"
    if config.augmentation != AugmentationSettings():
        yield "augmentation: answers are drawn to the posts as they are"


def find_start(config: FinetuneConfig) -> Start:
    """Find the adapter that a run begins with.

    Raises:
        ConfigError: There is none.
        ModelError: Its manifest cannot be used.
    """
    adapter = config.reinforcement.adapter
    folder = None if adapter is None else tuned_folder(adapter)
    if folder is None:
        raise ConfigError(
            f"reinforcement.adapter: there is no adapter in {adapter}; make it first by 'instruct-mner finetune', or "
            "name another (--set reinforcement.adapter=…)"
        )
    manifest, _ = Manifest.load(folder)
    return Start(folder=folder, manifest=manifest, sha256=weights_hash(folder) or "")


def check_same(start: Start, own: Manifest, lora: LoraSettings) -> None:
    """Refuse a config that shows posts, or has them answered, in another way than the adapter was tuned with.

    Args:
        start: Adapter that the run begins with.
        own: Manifest that the config makes.
        lora: Shape of the adapter by the config.

    Raises:
        ConfigError: They differ; the message says in what.
    """
    adapter = json.loads(read_text(start.folder / "adapter_config.json"))
    pairs = [
        *((name, getattr(start.manifest, name), getattr(own, name)) for name in _SAME),
        ("revision", start.manifest.base_revision, own.base_revision),
        *(
            (f"answer.{name}", value, own.answer.model_dump()[name])
            for name, value in start.manifest.answer.model_dump().items()
        ),
        ("prompt", start.manifest.prompt.name, own.prompt.name),
        ("contents of the prompt", start.manifest.prompt.sha256[:12], own.prompt.sha256[:12]),
        ("lora.rank", adapter["r"], lora.rank),
        ("lora.alpha", adapter["lora_alpha"], lora.alpha),
    ]
    problems = [
        f"{name}: {_shown(before)} in the adapter, {_shown(now)} by the config"
        for name, before, now in pairs
        if before != now
    ]
    if problems:
        raise ConfigError(
            "reinforcement goes on with the prompt, the pictures, the answers and the shape of its adapter; the config "
            f"has others:\n{listing(problems)}"
        )


def _shown(value: object) -> object:
    """Return a value for people: labels as their names, with the definitions where there are some."""
    if isinstance(value, dict):
        return ", ".join(name if said is None else f"{name} ({said})" for name, said in value.items())
    return ", ".join(value) if isinstance(value, list) else value
