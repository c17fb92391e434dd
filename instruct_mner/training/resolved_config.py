"""Config of a run with a value in place of every ``null``, as the run takes it."""

from __future__ import annotations

from typing import Any

import yaml

from instruct_mner.alignment import build
from instruct_mner.training.objectives import heads_shape
from instruct_mner.training.setup import Run
from instruct_mner.training.steps import count_steps, steps_of_an_epoch
from instruct_mner.training.trl_arguments import groups_by_length, shares_prompt_prefix
from instruct_mner.training.vision_cache import keeps_features


def resolved_yaml(run: Run) -> str:
    """Return all settings of a run as YAML, without a ``null``.

    Args:
        run: Parts of the run.
    """
    config = run.config
    if config.alignment.is_on:
        settings = build.resolved(run.alignment, heads_shape(run.loaded, run.spec))
        config = config.model_copy(update={"alignment": settings})
    values = config.model_dump(mode="json")
    values["labels"] = {label.name: label.definition for label in run.spec.labels.each()}
    if not any(values["labels"].values()):
        values["labels"] = list(values["labels"])
    return yaml.safe_dump(_filled(values, _defaults(run)), sort_keys=False, allow_unicode=True)


def _defaults(run: Run) -> dict[str, object]:
    """Return the value of each setting that is ``null``, by its dotted name."""
    config, num_posts = run.config, len(run.train.examples)
    root = run.train.image_root
    return {
        "revision": run.loaded.revision or "none (a folder)",
        "attn_implementation": str(run.loaded.model.config._attn_implementation),
        "device_map": "none (one device)",
        "data.dev": "none (the last checkpoint is kept)",
        "data.images": "none (no post names a picture)" if root is None else str(root),
        "data.xml": "that of the set, if any",
        "labels": list(run.spec.labels.names),
        "prompt": run.prompt.name,
        "answer.segmentation": run.spec.segmentation,
        "pixels.min_pixels": "the processor's own",
        "pixels.max_pixels": "the processor's own",
        "alignment.head_learning_rate": config.learning_rate,
        "optimizer.group_by_length": groups_by_length(config),
        "optimizer.share_prompt_prefix": shares_prompt_prefix(config.optimizer),
        "optimizer.max_steps": count_steps(config.optimizer, num_posts),
        "optimizer.learning_rate": config.learning_rate,
        "vision_cache.enabled": keeps_features(config, run.loaded),
        "vision_cache.folder": "that of the run, until it ends",
        "evaluation.every_steps": steps_of_an_epoch(config.optimizer, num_posts),
    }


def _filled(value: Any, defaults: dict[str, object], name: str = "") -> Any:
    if isinstance(value, dict):
        below = f"{name}." if name else ""
        return {key: _filled(each, defaults, f"{below}{key}") for key, each in value.items()}
    return defaults.get(name, "off" if name.startswith("alignment.") else "none") if value is None else value
