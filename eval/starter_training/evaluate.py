"""What a starter can do while it is built: posts, what its eyes make of them, and the shares of right tokens."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from eval.starter_training.curriculum import SHARES, curriculum
from eval.starter_training.sample_makers import Teacher
from eval.starter_training.samples import Exercise
from eval.starter_training.train import BATCH, Student
from eval.starter_training.vision_pretraining import Sights, Words, image_states, pixels, seeing_loss, unit_words
from instruct_mner.synthetic.posts import Post, posts
from instruct_mner.synthetic.scene import SIZES, draw_scene
from instruct_mner.synthetic.settings import Synthesis
from instruct_mner.synthetic.vocabulary import Split

NUM_DEV = 1_000


def level_of(model: Any) -> int:
    """The level that a model was made for."""
    return next(level for level, side in SIZES.items() if side == model.config.vision_config.image_size)


def some_posts(level: int, split: Split, seed: int, count: int) -> list[Post]:
    """Posts of all domains that are taught, each its share."""
    made: list[Post] = []
    for domain, share in SHARES[level].items():
        made += itertools.islice(posts(Synthesis(domain, level, split), seed), round(share * count))
    return made


def see(model: Any, made: Sequence[Post], at_once: int = 256) -> Any:
    """What the connector makes of each picture, ``(posts, tokens, width)``."""
    import torch

    with torch.no_grad():
        parts = [
            image_states(model, pixels([draw_scene(post) for post in some]).to(model.device, model.dtype))
            for some in (made[start : start + at_once] for start in range(0, len(made), at_once))
        ]
    return torch.cat(parts)


def measure(model: Any, processor: Any) -> dict[str, float]:
    """Abilities on posts of split dev, as shares of right tokens: one teacher-forced pass, no picture seen before."""
    import torch

    level = level_of(model)
    made = some_posts(level, "dev", 0, NUM_DEV)
    words = Words.of(processor.tokenizer, level)
    with torch.no_grad():
        states = see(model, made)
        log = _measure_sight(model, made, states, words)
        teacher = Teacher(processor.tokenizer, made, 0)
        student = Student(model, states, processor.image_token_id, processor.tokenizer.pad_token_id)
        for maker in curriculum(teacher).values():
            for batch in _batches(maker()):
                student.loss(batch)
    return log | {name: sum(values) / len(values) for name, values in sorted(student.log.items())}


def _measure_sight(model: Any, made: Sequence[Post], states: Any, words: Words) -> dict[str, float]:
    seen = Sights.of(made, [draw_scene(post) for post in made], words)
    return seeing_loss(states, seen.to(states.device), words, unit_words(model))[1]


def _batches(exercises: Sequence[Exercise]) -> Iterator[Sequence[Exercise]]:
    for start in range(0, len(exercises), BATCH):
        yield exercises[start : start + BATCH]
