"""Training of a connector alone: image tokens that point to a pretrained decoder's own embeddings of words.

The decoder is not run. The vision tower is frozen, so its output for some thousand pictures is computed once.
"""

from __future__ import annotations

import itertools
import random
from typing import Any

from eval.starter_training.evaluate import image_features_of_posts
from eval.starter_training.vision_pretraining import (
    CellLabels,
    WordIds,
    pictures,
    unit_words,
    vision_loss,
    with_invented,
)
from instruct_mner.synthetic.scene import draw_scene

NUM_PICTURES = 8_000
STEPS = 3_000
_NUM_HELD_OUT = 500
_BATCH = 64
_RATE = 3e-3
# Length of an image token, as a multiple of that of the words: longer, so that what it shows is not lost beside them.
_LENGTH = 1.8


def align_connector(
    model: Any, tokenizer: Any, seed: int, *, num: int = NUM_PICTURES, steps: int = STEPS
) -> dict[str, float]:
    """Train the connector in place, and return the shares that are right on pictures that were held out."""
    import torch

    words, table = WordIds.of(tokenizer, whole_words=False), unit_words(model)
    length = _LENGTH * float(model.get_input_embeddings().weight.float().norm(dim=1).mean())
    features, labels = _seen(model, words, seed, num + _NUM_HELD_OUT)
    matrix = model.model.connector.modality_projection.proj.weight
    master = torch.nn.Parameter(matrix.detach().float().clone())
    optimizer = torch.optim.Adam([master], lr=_RATE)
    generator = torch.Generator().manual_seed(seed)

    def loss(chosen: Any) -> tuple[Any, dict[str, float]]:
        states = features[chosen].float() @ master.T
        seen = CellLabels(labels.classes[chosen], labels.boxes[chosen])
        return vision_loss(states, seen, words, table, length=length)

    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = _RATE * max(0.02, 1 - step / steps)
        optimizer.zero_grad()
        loss(torch.randint(0, num, (_BATCH,), generator=generator))[0].backward()
        optimizer.step()
    with torch.no_grad():
        matrix.copy_(master)
        return loss(torch.arange(num, num + _NUM_HELD_OUT))[1]


def _seen(model: Any, words: WordIds, seed: int, num: int, at_once: int = 250) -> tuple[Any, CellLabels]:
    """Return what the tower gives for pictures before the connector's matrix, and the labels of their cells."""
    import torch

    stream, rng = pictures(seed, words.level), random.Random(seed)
    posts = [with_invented(post, rng) for post in itertools.islice(stream, num)]
    labels = [
        CellLabels.of(some, [draw_scene(post) for post in some], words)
        for some in (posts[start : start + at_once] for start in range(0, num, at_once))
    ]
    classes, boxes = (torch.cat([getattr(each, name) for each in labels]) for name in ("classes", "boxes"))
    return image_features_of_posts(model, posts), CellLabels(classes, boxes)
