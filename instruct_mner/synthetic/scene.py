"""Draws the pictures of synthetic posts."""

from __future__ import annotations

import random
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from instruct_mner.synthetic.canvas import Colour, Pen
from instruct_mner.synthetic.objects import DRAWINGS
from instruct_mner.synthetic.posts import SyntheticPost
from instruct_mner.synthetic.random_shapes import invented
from instruct_mner.synthetic.settings import DrawnObject

_RGB: tuple[Colour, ...] = (
    (214, 40, 40), (40, 90, 220), (40, 160, 70), (235, 205, 40), (140, 60, 180), (245, 130, 30),
)  # fmt: skip

# Side of a picture in pixels, and cells to a side, for each level.
SIZES = {0: 96, 1: 144}
GRIDS = {0: 2, 1: 3}

# Drawn larger and made small: Pillow's own edges are jagged.
_OVERSAMPLING = 2
_LETTER_HEIGHT = 15

Rectangle = tuple[int, int, int, int]


@dataclass(frozen=True)
class Scene:
    """A picture, and the box of each of its objects as ``(x0, y0, x1, y1)`` in pixels, end exclusive."""

    image: Image.Image
    boxes: tuple[Rectangle, ...]


def draw_scene(post: SyntheticPost) -> Scene:
    """Return the picture of a post; the same post gives the same bytes."""
    side = SIZES[post.synthesis.level]
    rng = random.Random(post.seed)
    light = rng.randint(165, 250)
    background = (light, light + rng.randint(-12, 5), light + rng.randint(-12, 5))
    image = Image.new("RGB", (side * _OVERSAMPLING, side * _OVERSAMPLING), background)
    canvas = ImageDraw.Draw(image)
    _clutter(canvas, side, rng)
    boxes = tuple(_draw_object(canvas, each, post.synthesis.level, rng) for each in post.objects)
    return Scene(image.reduce(_OVERSAMPLING), boxes)


def _clutter(canvas: ImageDraw.ImageDraw, side: int, rng: random.Random) -> None:
    """Grey strokes and dots that mean nothing."""
    for _ in range(rng.randint(0, 6)):
        grey = rng.randint(110, 235)
        x, y = rng.randint(0, side) * _OVERSAMPLING, rng.randint(0, side) * _OVERSAMPLING
        if rng.random() < 0.5:
            canvas.line([x, y, x + rng.randint(-60, 60), y + rng.randint(-60, 60)], fill=(grey, grey, grey), width=2)
        else:
            size = rng.randint(4, 14)
            canvas.ellipse([x, y, x + size, y + size], fill=(grey, grey, grey))


def _draw_object(canvas: ImageDraw.ImageDraw, drawn: DrawnObject, level: int, rng: random.Random) -> Rectangle:
    """Draw one object somewhere in its cell, with its letters under it, and return its box without them."""
    grid, cell = GRIDS[level], SIZES[level] // GRIDS[level]
    left, top = (drawn.cell % grid) * cell, (drawn.cell // grid) * cell
    room = cell - 2 - (_LETTER_HEIGHT if drawn.letters else 0)
    height = rng.randint(min(26, room), min(42, room))
    width = min(cell - 4, round(height * rng.uniform(0.9, 1.15)))
    x, y = left + rng.randint(1, cell - 2 - width), top + rng.randint(1, room + 1 - height)
    red, green, blue = (max(0, min(255, value + rng.randint(-14, 14))) for value in _RGB[drawn.colour])
    box = (x, y, x + width, y + height)
    large = tuple(value * _OVERSAMPLING for value in box)
    drawing = DRAWINGS.get(drawn.drawing) or invented(drawn.drawing)
    drawing(Pen(canvas, (large[0], large[1], large[2] - 1, large[3] - 1), (red, green, blue)), rng)
    if drawn.letters:
        _write_letters(canvas, drawn.letters, (x + width / 2, y + height))
    return box


def _write_letters(canvas: ImageDraw.ImageDraw, text: str, below: tuple[float, float]) -> None:
    """Two letters on a white plate, whose top centre is ``below``."""
    x, y = below[0] * _OVERSAMPLING, below[1] * _OVERSAMPLING
    half, height = 13 * _OVERSAMPLING, _LETTER_HEIGHT * _OVERSAMPLING
    canvas.rectangle([x - half, y + 1, x + half, y + height - 1], fill=(255, 255, 255))
    font = ImageFont.load_default(size=15 * _OVERSAMPLING)
    canvas.text(
        (x, y + height / 2), text, fill=(0, 0, 0), font=font, anchor="mm", stroke_width=1, stroke_fill=(0, 0, 0)
    )
