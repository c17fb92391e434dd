"""Pretraining of the starter's vision tower and connector, alone: image tokens that point to words.

Each image token learns to point, by its direction, to the embeddings of the words for the content of its cell: the type
of the object, the drawing, its colour, its place, and its letters. A third of the objects are invented drawings, each
with a direction of its own, so that drawings without a word are told apart as well; a head that is not saved reads the
box. Afterwards both are frozen.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from eval.starter_training.architecture import HELD_OUT_DRAWINGS, KNOWN_DOMAINS, PATCH_SIZE, tokens_per_side
from instruct_mner.synthetic.label_sets import COARSE, FINE, HOME
from instruct_mner.synthetic.posts import SyntheticPost, posts
from instruct_mner.synthetic.random_shapes import NUM_INVENTED, invented_name
from instruct_mner.synthetic.scene import GRIDS, SIZES, Scene, draw_scene
from instruct_mner.synthetic.settings import COLOURS, Synthesis

_SIDES = {0: (("top", "bottom"), ("left", "right")), 1: (("top", "middle", "bottom"), ("left", "middle", "right"))}
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Factor of the unit vector of an image token before its product with the words.
_SHARPNESS = 16.0
# Length that image tokens are kept near; embeddings of words have about 1.4.
_LENGTH = 2.5
_BATCH = 32
_INVENTED = 0.35


def cell_of(token: int, level: int) -> int:
    """Return the cell of the picture that an image token lies in."""
    side, grid = tokens_per_side(level), GRIDS[level]
    return (token // side) * grid // side * grid + (token % side) * grid // side


@dataclass(frozen=True)
class WordIds:
    """Ids of the words that image tokens may point to, a group for each question.

    Attributes:
        types: ``none``, then the definitions of the coarse types and those of the home.
        drawings: Known drawings.
        colours: Colours in the order of ``COLOURS``.
        rows: ``top``, ``bottom``; at level 1 ``middle`` too.
        columns: ``left``, ``right``; at level 1 ``middle`` too.
        first: First letters, as after a space.
        second: Second letters, as inside a word.
        fine: Definitions of the fine types, at level 1.
        fine_of: For each drawing, the index of its fine type, or -1.
        level: Level of the pictures.
        type_of: For each drawing in its order, the index of its type; a drawing has the same type in all domains.
    """

    types: tuple[int, ...]
    drawings: tuple[int, ...]
    colours: tuple[int, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    first: tuple[int, ...]
    second: tuple[int, ...]
    type_of: dict[str, int]
    fine: tuple[int, ...]
    fine_of: tuple[int, ...]
    level: int

    @classmethod
    def of(cls, tokenizer: Any, level: int = 0, *, whole_words: bool = True) -> WordIds:
        """Return the ids of all words.

        Args:
            tokenizer: Tokenizer of the model.
            level: Level of the pictures.
            whole_words: Whether each word must be one token. Otherwise the first token of a word stands for it.

        Raises:
            ValueError: A word is not a single token.
        """

        def one(text: str) -> int:
            token, *rest = tokenizer.encode(text, add_special_tokens=False)
            if rest and whole_words:
                raise ValueError(f"{text!r} is {1 + len(rest)} tokens, not one")
            return int(token)

        definitions = {
            name: kind.definition for domain in (COARSE, HOME) for kind in domain.types for name in kind.drawings
        }
        types = ["none", *dict.fromkeys(definitions.values())]
        fine = {name: index for index, kind in enumerate(FINE.types) for name in kind.drawings} if level else {}
        return cls(
            types=tuple(one(f" {word}") for word in types),
            drawings=tuple(one(f" {word}") for word in definitions),
            colours=tuple(one(f" {word}") for word in COLOURS),
            rows=tuple(one(f" {word}") for word in _SIDES[level][0]),
            columns=tuple(one(f" {word}") for word in _SIDES[level][1]),
            first=tuple(one(f" {letter}") for letter in _LETTERS),
            second=tuple(one(letter) for letter in _LETTERS),
            type_of={name: types.index(definition) for name, definition in definitions.items()},
            fine=tuple(one(f" {kind.definition}") for kind in FINE.types),
            fine_of=tuple(fine.get(name, -1) for name in definitions),
            level=level,
        )


@dataclass(frozen=True)
class CellLabels:
    """Labels of the cells of pictures.

    Attributes:
        classes: Type, drawing, colour, first and second letter, invented drawing, ``(pictures, cells, 6)``; -1 for
            none. The type of an empty cell is 0.
        boxes: Corners of the object, in shares of the picture, ``(pictures, cells, 4)``; nan for none.
    """

    classes: Any
    boxes: Any

    @classmethod
    def of(cls, seen: Sequence[SyntheticPost], scenes: Sequence[Scene], words: WordIds) -> CellLabels:
        """Return the labels of posts and their pictures."""
        import torch

        cells = GRIDS[words.level] ** 2
        classes = np.full((len(seen), cells, 6), -1, dtype=np.int64)
        boxes = np.full((len(seen), cells, 4), np.nan, dtype=np.float32)
        classes[:, :, 0] = 0
        drawings = list(words.type_of)
        for row, (post, scene) in enumerate(zip(seen, scenes, strict=True)):
            for item, box in zip(post.objects, scene.boxes, strict=True):
                both = [_LETTERS.index(letter) for letter in item.letters or ""] or [-1, -1]
                kind = drawing = invented = -1
                if item.drawing in words.type_of:
                    kind, drawing = words.type_of[item.drawing], drawings.index(item.drawing)
                else:
                    invented = int(item.drawing.rpartition("-")[2])
                classes[row, item.cell] = (kind, drawing, item.colour, *both, invented)
                boxes[row, item.cell] = np.array(box) / SIZES[words.level]
        return cls(torch.from_numpy(classes), torch.from_numpy(boxes))

    def to(self, device: Any) -> CellLabels:
        """Return the labels on another device."""
        return CellLabels(self.classes.to(device), self.boxes.to(device))


def pictures(seed: int, level: int = 0) -> Iterator[SyntheticPost]:
    """Yield posts of the known domains in turn, mostly of the main one, with many letters."""
    many = (0.2, 0.2, 0.55, 0.05)
    streams = [
        posts(Synthesis(domain, level, cues_of_one=many, cues_of_several=many, mentions=(0, 0.2, 0.3, 0.3, 0.2)), seed)
        for domain in KNOWN_DOMAINS
    ]
    while True:
        for index in (0, 0, 2, 0, 1, 2):
            yield next(streams[index])


def with_invented(post: SyntheticPost, rng: random.Random) -> SyntheticPost:
    """Return the post with some of its drawings replaced."""
    objects = tuple(
        replace(each, drawing=invented_name(rng.randrange(NUM_INVENTED))) if rng.random() < _INVENTED else each
        for each in post.objects
    )
    return replace(post, objects=objects)


def pixels(scenes: Sequence[Scene]) -> Any:
    """Return pixels as the processor makes them, ``(pictures, 3, height, width)``, from -1 to 1."""
    import torch

    array = np.stack([np.asarray(scene.image) for scene in scenes])
    return (torch.from_numpy(array).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5


def image_states(model: Any, values: Any) -> Any:
    """Return the output of the connector, ``(posts, tokens, width)``."""
    import torch

    side = values.shape[-1] // PATCH_SIZE
    mask = torch.ones(len(values), side, side, dtype=torch.bool, device=values.device)
    vision = model.model.vision_model(pixel_values=values, patch_attention_mask=mask).last_hidden_state
    return model.model.connector(vision)


def unit_words(model: Any) -> Any:
    """Return the embeddings less their mean, as unit vectors, ``(vocabulary, width)``."""
    import torch

    table = model.model.text_model.embed_tokens.weight.detach().float()
    return torch.nn.functional.normalize(table - table.mean(dim=0), dim=1)


class ProbeHeads:
    """Heads that read image tokens during pretraining and are not saved.

    Attributes:
        invented: Direction of each invented drawing, ``(drawings, width)``.
        boxes: Linear layer from a token to the corners of the object in its cell.
    """

    def __init__(self, width: int, seed: int, device: Any = "cpu") -> None:
        import torch

        torch.manual_seed(seed)
        self.invented = torch.nn.Parameter((torch.randn(NUM_INVENTED, width) * width**-0.5).to(device))
        self.boxes = torch.nn.Linear(width, 4).to(device)

    def parameters(self) -> list[Any]:
        """Return the trained weights."""
        return [self.invented, *self.boxes.parameters()]


def vision_loss(
    states: Any,
    seen: CellLabels,
    words: WordIds,
    table: Any,
    probes: ProbeHeads | None = None,
    *,
    length: float = _LENGTH,
) -> tuple[Any, dict[str, float]]:
    """Return the cross-entropy of the words of each token, and the shares that are right.

    Args:
        states: Output of the connector, ``(pictures, tokens, width)``.
        seen: Labels of the cells.
        words: Ids of the words.
        table: Output of ``unit_words``.
        probes: Heads for invented drawings and boxes; without them these are left out.
        length: Length that image tokens are kept near.
    """
    import torch
    from torch.nn.functional import cross_entropy, normalize

    states = states.float()
    lengths = states.norm(dim=-1, keepdim=True)
    pointed = states / lengths * _SHARPNESS
    grid = GRIDS[words.level]
    cells = torch.tensor([cell_of(token, words.level) for token in range(states.shape[1])])
    classes = seen.classes[:, cells]
    expected = {
        "type": (table[list(words.types)], classes[..., 0], 1.0),
        "drawing": (table[list(words.drawings)], classes[..., 1], 0.5),
        "colour": (table[list(words.colours)], classes[..., 2], 1.0),
        "row": (table[list(words.rows)], (cells // grid).expand(len(classes), -1), 0.5),
        "column": (table[list(words.columns)], (cells % grid).expand(len(classes), -1), 0.5),
        "first letter": (table[list(words.first)], classes[..., 3], 1.0),
        "second letter": (table[list(words.second)], classes[..., 4], 1.0),
    }
    if words.level:
        fine = torch.tensor([*words.fine_of, -1], device=classes.device)[classes[..., 1]]
        expected["fine"] = (table[list(words.fine)], fine, 0.5)
    if probes is not None:
        expected["invented"] = (normalize(probes.invented.float(), dim=1), classes[..., 5], 1.0)
    # In units of the starter's length, so that its weight is the same for words of any length.
    loss = 0.05 * ((lengths - length) * (_LENGTH / length)).square().mean()
    right: dict[str, float] = {}
    for name, (directions, answers, weight) in expected.items():
        known = answers >= 0
        logits = pointed[known] @ directions.T
        if len(logits):
            loss = loss + weight * cross_entropy(logits, answers[known])
            correct = logits.argmax(-1) == answers[known]
            if name == "type":
                correct = correct[answers[known] > 0]
            right[name] = float(correct.float().mean())
    if probes is not None:
        boxes = seen.boxes[:, cells]
        known = ~boxes.isnan().any(-1)
        off = (probes.boxes(pointed[known].to(probes.boxes.weight.dtype)).float() - boxes[known]).abs()
        loss = loss + 2 * off.mean()
        right["box, pixels off"] = float(off.detach().mean()) * SIZES[words.level]
    return loss, right


def batches(words: WordIds, seed: int) -> Iterator[tuple[Any, CellLabels]]:
    """Yield pixels and labels of new pictures without end."""
    stream, rng = pictures(seed, words.level), random.Random(seed)
    while True:
        seen = [with_invented(post, rng) for post in itertools.islice(stream, _BATCH)]
        scenes = [draw_scene(post) for post in seen]
        yield pixels(scenes), CellLabels.of(seen, scenes, words)


assert not HELD_OUT_DRAWINGS & {name for domain in KNOWN_DOMAINS for kind in domain.types for name in kind.drawings}
