"""The starter learns to see: image tokens that speak words.

The vision tower and the connector are trained alone. Each image token learns to point, by its direction, at the
embeddings of the words for what its cell shows: the type of the object, the kind of drawing, its colour, its place,
and its letters. Afterwards both are frozen.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from instruct_mner.starter.architecture import HELD_OUT_DRAWINGS, IMAGE_SIZE, KNOWN_DOMAINS, PATCH_SIZE, SCALE_FACTOR
from instruct_mner.starter.domains import COARSE, HOME
from instruct_mner.starter.posts import COLOURS, Post, Synthesis, posts
from instruct_mner.starter.scene import draw_scene

GRID = IMAGE_SIZE // PATCH_SIZE // SCALE_FACTOR
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Of the direction of a token: how strongly it is told from the others.
_SHARPNESS = 16.0
# Length that image tokens are kept near; words have about 1.4.
_LENGTH = 2.5
_BATCH = 32


def quadrant(token: int) -> int:
    """The cell of level 0 that an image token lies in."""
    return (token // GRID) // (GRID // 2) * 2 + (token % GRID) // (GRID // 2)


@dataclass(frozen=True)
class Words:
    """Ids of the words that image tokens may point to, a group for each question.

    Attributes:
        types: ``none``, then the definitions of the coarse types and those of the home.
        drawings: The known drawings.
        colours: In the order of ``COLOURS``.
        rows: ``top``, ``bottom``.
        columns: ``left``, ``right``.
        first: First letters, as after a space.
        second: Second letters, as inside a word.
        type_of: For each drawing in its order, the index of its type; one drawing is of one type in all domains.
    """

    types: tuple[int, ...]
    drawings: tuple[int, ...]
    colours: tuple[int, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    first: tuple[int, ...]
    second: tuple[int, ...]
    type_of: dict[str, int]

    @classmethod
    def of(cls, tokenizer: Any) -> Words:
        """Looks all words up.

        Raises:
            ValueError: One is not a single token.
        """

        def one(text: str) -> int:
            [token] = tokenizer.encode(text, add_special_tokens=False)
            return int(token)

        told = {name: kind.definition for domain in (COARSE, HOME) for kind in domain.types for name in kind.drawings}
        types = ["none", *dict.fromkeys(told.values())]
        return cls(
            types=tuple(one(f" {word}") for word in types),
            drawings=tuple(one(f" {word}") for word in told),
            colours=tuple(one(f" {word}") for word in COLOURS),
            rows=(one(" top"), one(" bottom")),
            columns=(one(" left"), one(" right")),
            first=tuple(one(f" {letter}") for letter in _LETTERS),
            second=tuple(one(letter) for letter in _LETTERS),
            type_of={name: types.index(definition) for name, definition in told.items()},
        )


def labels(post: Post, words: Words) -> npt.NDArray[np.int64]:
    """What each quadrant shows, ``(4, 5)``: type, drawing, colour and letters; -1 where there is none."""
    rows = np.full((4, 5), -1, dtype=np.int64)
    rows[:, 0] = 0
    for shown in post.objects:
        both = [_LETTERS.index(letter) for letter in shown.letters or ""] or [-1, -1]
        drawing = list(words.type_of).index(shown.drawing)
        rows[shown.cell] = (words.type_of[shown.drawing], drawing, shown.colour, *both)
    return rows


def pictures(seed: int) -> Iterator[Post]:
    """Posts of the known domains in turn, mostly of the main one, with many letters."""
    many = (0.2, 0.2, 0.55, 0.05)
    streams = [
        posts(Synthesis(domain=domain, cues_of_one=many, cues_of_several=many, mentions=(0, 0.2, 0.3, 0.3, 0.2)), seed)
        for domain in KNOWN_DOMAINS
    ]
    while True:
        for index in (0, 0, 2, 0, 1, 2):
            yield next(streams[index])


def pixels(seen: Sequence[Post]) -> Any:
    """Pixels as the processor makes them, ``(posts, 3, height, width)``, from -1 to 1."""
    import torch

    array = np.stack([np.asarray(draw_scene(post).image) for post in seen])
    return (torch.from_numpy(array).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5


def image_states(model: Any, values: Any) -> Any:
    """What the connector gives to the decoder, ``(posts, tokens, width)``."""
    import torch

    side = IMAGE_SIZE // PATCH_SIZE
    mask = torch.ones(len(values), side, side, dtype=torch.bool, device=values.device)
    vision = model.model.vision_model(pixel_values=values, patch_attention_mask=mask).last_hidden_state
    return model.model.connector(vision)


def unit_words(model: Any) -> Any:
    """Embeddings without what all have in common, as unit vectors, ``(vocabulary, width)``."""
    import torch

    table = model.model.text_model.embed_tokens.weight.detach().float()
    return torch.nn.functional.normalize(table - table.mean(dim=0), dim=1)


def seeing_loss(states: Any, found: Any, words: Words, table: Any) -> tuple[Any, dict[str, float]]:
    """Cross-entropy of each token's words, and the share that are right.

    Args:
        states: ``(posts, tokens, width)``.
        found: ``labels`` of each post, ``(posts, 4, 5)``.
        words: Ids of the words.
        table: ``unit_words``.
    """
    import torch
    from torch.nn.functional import cross_entropy

    states = states.float()
    length = states.norm(dim=-1, keepdim=True)
    pointed = states / length * _SHARPNESS
    cells = torch.tensor([quadrant(token) for token in range(GRID * GRID)])
    told = found[:, cells]
    expected = {
        "type": (words.types, told[..., 0], 1.0),
        "drawing": (words.drawings, told[..., 1], 0.5),
        "colour": (words.colours, told[..., 2], 1.0),
        "row": (words.rows, (cells // 2).expand(len(found), -1), 0.5),
        "column": (words.columns, (cells % 2).expand(len(found), -1), 0.5),
        "first letter": (words.first, told[..., 3], 1.0),
        "second letter": (words.second, told[..., 4], 1.0),
    }
    loss = 0.05 * (length - _LENGTH).square().mean()
    right: dict[str, float] = {}
    for name, (ids, answers, weight) in expected.items():
        asked = answers >= 0
        logits = pointed[asked] @ table[list(ids)].T
        if len(logits):
            loss = loss + weight * cross_entropy(logits, answers[asked])
            shown = logits.argmax(-1) == answers[asked]
            if name == "type":
                shown = shown[answers[asked] > 0]
            right[name] = float(shown.float().mean())
    return loss, right


def batches(words: Words, seed: int) -> Iterator[tuple[Any, Any]]:
    """Pixels and labels of new pictures without end."""
    import torch

    stream = pictures(seed)
    while True:
        seen = list(itertools.islice(stream, _BATCH))
        yield pixels(seen), torch.from_numpy(np.stack([labels(post, words) for post in seen]))


assert not HELD_OUT_DRAWINGS & {name for domain in KNOWN_DOMAINS for kind in domain.types for name in kind.drawings}
