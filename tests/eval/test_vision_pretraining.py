"""Pretraining of the vision tower: invented drawings, labels of the cells, and the loss against a plain loop."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

import pytest
import torch
from PIL import Image, ImageChops, ImageDraw

from eval.starter_training.architecture import HELD_OUT_DRAWINGS, build_processor, tokens_per_side
from eval.starter_training.vision_pretraining import (
    CellLabels,
    ProbeHeads,
    WordIds,
    cell_of,
    vision_loss,
    with_invented,
)
from instruct_mner.synthetic.canvas import Pen
from instruct_mner.synthetic.objects import DRAWINGS
from instruct_mner.synthetic.posts import SyntheticPost, posts
from instruct_mner.synthetic.random_shapes import NUM_INVENTED, invented, invented_name
from instruct_mner.synthetic.scene import GRIDS, SIZES, draw_scene
from instruct_mner.synthetic.settings import COLOURS, Synthesis


def _words(level: int) -> WordIds:
    return WordIds.of(build_processor(level).tokenizer, level)


def _seen(level: int) -> list[SyntheticPost]:
    rng = random.Random(0)
    many = Synthesis(level=level, mentions=(0, 0.2, 0.3, 0.3, 0.2))
    return [with_invented(post, rng) for post in itertools.islice(posts(many, 5), 12)]


@pytest.mark.parametrize("level", [0, 1])
def test_every_cell_has_four_tokens_in_a_square(level: int) -> None:
    side = tokens_per_side(level)
    for cell in range(GRIDS[level] ** 2):
        tokens = [token for token in range(side**2) if cell_of(token, level) == cell]
        top, left = 2 * (cell // GRIDS[level]), 2 * (cell % GRIDS[level])
        assert tokens == [row * side + column for row in (top, top + 1) for column in (left, left + 1)]


def _picture(name: str, jitter: int) -> Image.Image:
    image = Image.new("RGB", (64, 64), (200, 200, 200))
    invented(name)(Pen(ImageDraw.Draw(image), (8, 8, 56, 56), (40, 90, 220)), random.Random(jitter))
    return image


def _changed(one: Image.Image, other: Image.Image) -> int:
    """How many pixels differ."""
    return sum(ImageChops.difference(one, other).convert("L").point(lambda value: 255 * (value > 0)).histogram()[1:])


def test_an_invented_drawing_is_always_the_same_but_for_a_little_jitter() -> None:
    names = [invented_name(index) for index in range(30)]
    for name, other in itertools.pairwise(names):
        assert _changed(_picture(name, 1), _picture(name, 1)) == 0
        assert _changed(_picture(name, 1), _picture(other, 1)) > 0
    moved = [_changed(_picture(name, 1), _picture(name, 2)) for name in names]
    apart = [_changed(_picture(one, 1), _picture(other, 1)) for one, other in itertools.combinations(names, 2)]
    assert sum(moved) / len(moved) < 0.5 * sum(apart) / len(apart)
    assert not {invented_name(index) for index in range(NUM_INVENTED)} & (set(DRAWINGS) | HELD_OUT_DRAWINGS)


@pytest.mark.parametrize("level", [0, 1])
def test_sights_say_what_each_cell_shows(level: int) -> None:
    seen, words = _seen(level), _words(level)
    scenes = [draw_scene(post) for post in seen]
    labels = CellLabels.of(seen, scenes, words)
    drawings = list(words.type_of)
    kinds = set()
    for row, (post, scene) in enumerate(zip(seen, scenes, strict=True)):
        present = {each.cell: (each, box) for each, box in zip(post.objects, scene.boxes, strict=True)}
        for cell in range(GRIDS[level] ** 2):
            kind, drawing, colour, first, second, index = labels.classes[row, cell].tolist()
            if cell not in present:
                assert (kind, drawing, colour, first, second, index) == (0, -1, -1, -1, -1, -1)
                assert bool(labels.boxes[row, cell].isnan().all())
                continue
            each, box = present[cell]
            assert COLOURS[colour] == COLOURS[each.colour]
            assert (first >= 0) == (second >= 0) == (each.letters is not None)
            assert labels.boxes[row, cell].tolist() == pytest.approx([side / SIZES[level] for side in box])
            if each.drawing in DRAWINGS:
                assert (drawings[drawing], index) == (each.drawing, -1)
                assert kind == words.type_of[each.drawing]
            else:
                assert (kind, drawing, invented_name(index)) == (-1, -1, each.drawing)
            kinds.add(each.drawing in DRAWINGS)
    assert kinds == {True, False}


@pytest.mark.parametrize("level", [0, 1])
def test_the_loss_is_that_of_a_plain_loop(level: int) -> None:
    seen, words, grid = _seen(level), _words(level), GRIDS[level]
    tokens = tokens_per_side(level) ** 2
    torch.manual_seed(0)
    states = torch.randn(len(seen), tokens, 32, requires_grad=True)
    table = torch.nn.functional.normalize(torch.randn(1500, 32), dim=1)
    probes = ProbeHeads(32, seed=1)
    labels = CellLabels.of(seen, [draw_scene(post) for post in seen], words)
    loss, right = vision_loss(states, labels, words, table, probes)
    expected = 0.05 * ((states.norm(dim=-1) - 2.5) ** 2).mean()
    groups: dict[str, list[Any]] = {}
    off = []
    directions = {
        name: table[list(getattr(words, name))]
        for name in ("types", "drawings", "colours", "rows", "columns", "first", "second", "fine")
    }
    directions["invented"] = probes.invented / probes.invented.norm(dim=1, keepdim=True)
    for row, token in itertools.product(range(len(seen)), range(tokens)):
        cell = cell_of(token, level)
        pointed = 16 * states[row, token] / states[row, token].norm()
        kind, drawing, colour, first, second, index = labels.classes[row, cell].tolist()
        expected_ids = {
            "types": kind, "drawings": drawing, "colours": colour, "rows": cell // grid, "columns": cell % grid,
            "first": first, "second": second, "invented": index,
            "fine": [*words.fine_of, -1][drawing] if level else -1,
        }  # fmt: skip
        for name, answer in expected_ids.items():
            if answer >= 0:
                logs = (directions[name] @ pointed).log_softmax(0)
                groups.setdefault(name, []).append(-logs[answer])
        if not math.isnan(float(labels.boxes[row, cell, 0])):
            off.append((probes.boxes(pointed) - labels.boxes[row, cell]).abs().mean())
    weights = {"fine": 0.5, "drawings": 0.5, "rows": 0.5, "columns": 0.5}
    for name, losses in groups.items():
        expected = expected + weights.get(name, 1.0) * torch.stack(losses).mean()
    expected = expected + 2 * torch.stack(off).mean()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    assert right["box, pixels off"] == pytest.approx(torch.stack(off).mean().item() * SIZES[level], rel=1e-4)
    loss.backward()
    assert states.grad is not None
    assert float(states.grad.abs().sum()) > 0
    assert "invented" not in vision_loss(states, labels, words, table)[1]
