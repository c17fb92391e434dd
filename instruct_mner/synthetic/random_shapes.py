"""Drawings of nothing: a few random shapes each, always the same ones for the same drawing.

Eyes that learn only the drawings that have a name keep little of any other. These have none; the starter learns to
tell them apart, so that it can tell apart what its users draw.
"""

from __future__ import annotations

import math
import random
from functools import lru_cache

from instruct_mner.synthetic.canvas import BARK, INK, WHITE, Colour, Drawing, Pen, darker

NUM_INVENTED = 240
_SHAPES = ("ellipse", "rectangle", "polygon", "slice", "line", "arc")
# How far the points of a shape move from one picture to the next, in shares of the box.
_JITTER = 0.03


def invented_name(index: int) -> str:
    """Return the name of a drawing, as ``DrawnObject.drawing`` has it."""
    return f"invented-{index}"


@lru_cache
def invented(name: str) -> Drawing:
    """Return the drawing of a name: one shape that nearly fills the box, and one to three smaller ones."""
    rng = random.Random(name)
    strokes = [_stroke(rng, rng.uniform(0.75, 1), main=True)]
    strokes += [_stroke(rng, rng.uniform(0.25, 0.6), main=False) for _ in range(rng.randint(1, 3))]

    def draw(pen: Pen, jitter: random.Random) -> None:
        for stroke in strokes:
            stroke(pen, jitter)

    return draw


def _stroke(rng: random.Random, size: float, *, main: bool) -> Drawing:
    shape = rng.choice(_SHAPES[:4] if main else _SHAPES)
    width, height = size * rng.uniform(0.7, 1), size * rng.uniform(0.7, 1)
    x, y = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    corners = sorted(rng.uniform(0, 2 * math.pi) for _ in range(rng.randint(3, 6)))
    start, sweep, thick = rng.randrange(360), rng.randint(120, 300), rng.uniform(0.05, 0.16)
    paint = 0 if main else rng.randrange(6)

    def draw(pen: Pen, jitter: random.Random) -> None:
        def near(value: float) -> float:
            return value + jitter.uniform(-_JITTER, _JITTER)

        fill: Colour = (pen.colour, darker(pen.colour, 0.45), darker(pen.colour, 0.72), WHITE, INK, BARK)[paint]
        x0, y0, x1, y1 = near(x), near(y), near(x + width), near(y + height)
        middle, radii = ((x0 + x1) / 2, (y0 + y1) / 2), ((x1 - x0) / 2, (y1 - y0) / 2)
        points = [(middle[0] + radii[0] * math.cos(a), middle[1] + radii[1] * math.sin(a)) for a in corners]
        match shape:
            case "ellipse":
                pen.ellipse(x0, y0, x1, y1, fill=fill)
            case "rectangle":
                pen.rectangle(x0, y0, x1, y1, fill=fill)
            case "polygon":
                pen.polygon(*points, fill=fill)
            case "slice":
                pen.slice(x0, y0, x1, y1, start, start + sweep, fill=fill)
            case "line":
                pen.line(*points[:3], width=thick, fill=fill)
            case _:
                pen.arc(x0, y0, x1, y1, start, start + sweep, thick, fill=fill)

    return draw
