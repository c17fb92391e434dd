"""Features of pictures that a run computes once: whether it may, where they lie, and how large they are."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from instruct_mner.errors import ConfigError, DataError
from instruct_mner.images import image_size
from instruct_mner.models.feature_store import FeatureStore
from instruct_mner.models.generated_pictures import num_features
from instruct_mner.models.loading import LoadedModel
from instruct_mner.models.picture_features import draws_random_numbers, keep_features, tower_hash
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.sharding import is_sharded
from instruct_mner.training.trl_arguments import shares_prompt_prefix

_GIB = 2**30


def reason_against(config: FinetuneConfig, loaded: LoadedModel) -> str | None:
    """Return why the features of a run cannot be kept; ``None`` where they can.

    Args:
        config: Config of the run.
        loaded: Base model.
    """
    if not loaded.family.sees or config.max_images == 0:
        return "the model is shown no pictures"
    if not config.adapts:
        return "tuning: full changes the vision tower"
    if draws_random_numbers(loaded):
        return "the vision tower has dropout"
    if is_sharded():
        return "the vision tower lies in parts in several processes"
    if config.optimizer.torch_compile:
        return "torch_compile compiles the vision tower"
    return None


def keeps_features(config: FinetuneConfig, loaded: LoadedModel) -> bool:
    """Return whether a run keeps the features of its pictures.

    By default it does where a picture is seen more than once, by this run or by those that share its folder, and
    forwards may differ by rounding from those of TRL.

    Args:
        config: Config of the run.
        loaded: Base model.

    Raises:
        ConfigError: They are to be kept, and cannot be.
    """
    wanted = config.vision_cache.enabled
    if wanted is False:
        return False
    reason = reason_against(config, loaded)
    if wanted is None:
        again = config.optimizer.epochs > 1 or config.data.dev is not None or config.vision_cache.folder is not None
        return reason is None and again and shares_prompt_prefix(config.optimizer)
    if reason is not None:
        raise ConfigError(f"vision_cache.enabled: {reason}; set it to false, or leave it out")
    return True


def keep_features_of_run(config: FinetuneConfig, loaded: LoadedModel, checkpoints: Path) -> None:
    """Let the model of a run take the features of its pictures from the folder of the run, if it keeps them.

    Args:
        config: Config of the run.
        loaded: Base model.
        checkpoints: Folder of the checkpoints, which is removed as the run ends.
    """
    if keeps_features(config, loaded):
        folder = config.vision_cache.folder or checkpoints / "vision"
        store = FeatureStore(folder / tower_hash(loaded), round(config.vision_cache.gib * _GIB))
        keep_features(loaded, store)


def describe_cache(config: FinetuneConfig, loaded: LoadedModel, pictures: Iterable[Path]) -> str:
    """Return size and place of the features of a run, or why there are none, as a line for people.

    Args:
        config: Config of the run.
        loaded: Base model.
        pictures: Files of all pictures that the run shows.
    """
    if config.vision_cache.enabled is False:
        return "computed each time: vision_cache.enabled is false"
    if not keeps_features(config, loaded):
        return f"computed each time: {reason_against(config, loaded) or 'the default of vision_cache.enabled here'}"
    sizes = []
    for path in {os.path.realpath(path): path for path in pictures}.values():
        try:
            sizes.append(image_size(path))
        except DataError:
            continue
    tokens = sum(loaded.count_image_tokens(sizes))
    size = tokens * num_features(loaded) * loaded.model.dtype.itemsize / _GIB
    limit = config.vision_cache.gib
    rest = f"; the limit is {limit:g} GiB: the rest is computed each time" if size > limit else ""
    return f"of {len(sizes)} pictures are computed once, about {size:.2f} GiB{rest}"
