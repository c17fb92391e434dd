"""Drawing in shares of a box: what all drawings of the synthetic pictures are made with."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import ImageDraw

Colour = tuple[int, int, int]

WHITE, INK, BARK = (252, 252, 252), (28, 28, 34), (120, 82, 50)


def darker(colour: Colour, share: float) -> Colour:
    """Return the colour with ``share`` of its light."""
    red, green, blue = (int(value * share) for value in colour)
    return red, green, blue


@dataclass(frozen=True)
class Pen:
    """Draws shapes in shares of a box.

    Attributes:
        canvas: Canvas that is drawn on.
        box: ``(x0, y0, x1, y1)`` in pixels of the canvas.
        colour: The object's colour.
    """

    canvas: ImageDraw.ImageDraw
    box: tuple[float, float, float, float]
    colour: Colour

    def _points(self, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        x0, y0, x1, y1 = self.box
        return [(x0 + (x1 - x0) * x, y0 + (y1 - y0) * y) for x, y in points]

    def _width(self, share: float) -> int:
        return max(1, round(share * (self.box[2] - self.box[0])))

    def polygon(self, *points: tuple[float, float], fill: Colour | None = None) -> None:
        """Draw a filled polygon."""
        self.canvas.polygon(self._points(points), fill=fill or self.colour)

    def rectangle(self, x0: float, y0: float, x1: float, y1: float, fill: Colour | None = None, r: float = 0) -> None:
        """Draw a filled rectangle, with round corners of a share of the width."""
        (a, b), (c, d) = self._points([(x0, y0), (x1, y1)])
        self.canvas.rounded_rectangle([a, b, c, d], self._width(r) if r else 0, fill=fill or self.colour)

    def ellipse(self, x0: float, y0: float, x1: float, y1: float, fill: Colour | None = None) -> None:
        """Draw a filled ellipse."""
        (a, b), (c, d) = self._points([(x0, y0), (x1, y1)])
        self.canvas.ellipse([a, b, c, d], fill=fill or self.colour)

    def slice(
        self, x0: float, y0: float, x1: float, y1: float, start: int, end: int, fill: Colour | None = None
    ) -> None:
        """Draw a slice of an ellipse, between two angles in degrees."""
        (a, b), (c, d) = self._points([(x0, y0), (x1, y1)])
        self.canvas.pieslice([a, b, c, d], start, end, fill=fill or self.colour)

    def arc(
        self, x0: float, y0: float, x1: float, y1: float, start: int, end: int, width: float, fill: Colour | None = None
    ) -> None:
        """Draw a line along an ellipse, between two angles in degrees."""
        (a, b), (c, d) = self._points([(x0, y0), (x1, y1)])
        self.canvas.arc([a, b, c, d], start, end, fill=fill or self.colour, width=self._width(width))

    def line(self, *points: tuple[float, float], width: float, fill: Colour | None = None) -> None:
        """Draw a line through points."""
        self.canvas.line(self._points(points), fill=fill or self.colour, width=self._width(width), joint="curve")

    def star(self, x: float, y: float, size: float, fill: Colour) -> None:
        """Draw a five-pointed star around a point."""
        turns = [(size if tip % 2 == 0 else size * 0.42, tip * math.pi / 5) for tip in range(10)]
        self.polygon(*((x + r * math.sin(a), y - r * math.cos(a)) for r, a in turns), fill=fill)


Drawing = Callable[[Pen, random.Random], None]
