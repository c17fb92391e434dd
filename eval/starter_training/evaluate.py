"""Measurement of a starter while it is built: shares of right tokens on posts of split dev."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from eval.starter_training.curriculum import SHARES, curriculum
from eval.starter_training.sample_makers import SampleMaker
from eval.starter_training.samples import Sample
from eval.starter_training.train import BATCH, DecoderTrainer
from eval.starter_training.vision_pretraining import CellLabels, WordIds, image_states, pixels, unit_words, vision_loss
from instruct_mner.synthetic.posts import SyntheticPost, posts
from instruct_mner.synthetic.scene import SIZES, draw_scene
from instruct_mner.synthetic.settings import Synthesis
from instruct_mner.synthetic.vocabulary import Split

NUM_DEV = 1_000


def level_of(model: Any) -> int:
    """Return the level of the posts that a model was built for."""
    return next(level for level, side in SIZES.items() if side == model.config.vision_config.image_size)


def some_posts(level: int, split: Split, seed: int, count: int) -> list[SyntheticPost]:
    """Return posts of all trained domains, each in its share."""
    made: list[SyntheticPost] = []
    for domain, share in SHARES[level].items():
        made += itertools.islice(posts(Synthesis(domain, level, split), seed), round(share * count))
    return made


def image_states_of_posts(model: Any, made: Sequence[SyntheticPost], at_once: int = 256) -> Any:
    """Return the output of the connector for each picture, ``(posts, tokens, width)``."""
    import torch

    with torch.no_grad():
        parts = [
            image_states(model, pixels([draw_scene(post) for post in some]).to(model.device, model.dtype))
            for some in (made[start : start + at_once] for start in range(0, len(made), at_once))
        ]
    return torch.cat(parts)


def image_features_of_posts(model: Any, made: Sequence[SyntheticPost]) -> Any:
    """Return what the matrix of the connector is given for each picture, ``(posts, tokens, features)``."""
    import torch

    connector = model.model.connector
    matrix, connector.modality_projection = connector.modality_projection, torch.nn.Identity()
    try:
        return image_states_of_posts(model, made)
    finally:
        connector.modality_projection = matrix


def measure(model: Any, processor: Any) -> dict[str, float]:
    """Return the abilities as shares of right tokens on posts of split dev, with teacher forcing."""
    import torch

    level = level_of(model)
    made = some_posts(level, "dev", 0, NUM_DEV)
    words = WordIds.of(processor.tokenizer, level)
    with torch.no_grad():
        states = image_states_of_posts(model, made)
        log = _measure_vision(model, made, states, words)
        maker = SampleMaker(processor.tokenizer, made, 0)
        trainer = DecoderTrainer(model, states, processor.image_token_id, processor.tokenizer.pad_token_id)
        for make in curriculum(maker).values():
            for batch in _batches(make()):
                trainer.loss(batch)
    return log | {name: sum(values) / len(values) for name, values in sorted(trainer.log.items())}


def _measure_vision(model: Any, made: Sequence[SyntheticPost], states: Any, words: WordIds) -> dict[str, float]:
    seen = CellLabels.of(made, [draw_scene(post) for post in made], words)
    return vision_loss(states, seen.to(states.device), words, unit_words(model))[1]


def _batches(samples: Sequence[Sample]) -> Iterator[Sequence[Sample]]:
    for start in range(0, len(samples), BATCH):
        yield samples[start : start + BATCH]
