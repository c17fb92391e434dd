"""Boxes, between the pixels of a picture and the units of a model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from instruct_mner.schema.records import Coordinates


@dataclass(frozen=True)
class BoxConvention:
    """The units in which a model says boxes.

    Attributes:
        name: ``relative``: 0..``range`` of width and of height, what Qwen3-VL uses and what others are told
            to use; ``absolute``: pixels of the picture as its processor has resized it.
        range: The largest coordinate of ``relative``.
    """

    name: Literal["relative", "absolute"] = "relative"
    range: int = 1000

    @property
    def answer_range(self) -> int | None:
        """The largest coordinate that is the same for all pictures; ``None`` for ``absolute``."""
        return self.range if self.name == "relative" else None

    def extent(self, resized: tuple[int, int] | None) -> tuple[int, int]:
        """Return the largest x and y.

        Raises:
            ValueError: ``absolute`` without the resized size.
        """
        if self.name == "relative":
            return self.range, self.range
        if resized is None:
            raise ValueError("absolute coordinates need the size to which the processor resizes the picture")
        return resized


def to_model_units(
    box: Coordinates,
    size: tuple[int, int],
    convention: BoxConvention,
    *,
    resized: tuple[int, int] | None = None,
) -> tuple[int, int, int, int]:
    """Convert a box in original pixels to the model's units.

    Args:
        box: ``(x0, y0, x1, y1)`` in pixels of the original picture.
        size: Width and height of the picture.
        convention: The model's units.
        resized: Width and height after the processor's resize, for ``absolute``.

    Returns:
        Integers within the convention's extent, ``x0 < x1`` and ``y0 < y1``.
    """
    return _scale(box, size, convention.extent(resized))


def to_pixels(
    box: Coordinates,
    size: tuple[int, int],
    convention: BoxConvention,
    *,
    resized: tuple[int, int] | None = None,
) -> tuple[int, int, int, int]:
    """Convert a box in the model's units to original pixels, the inverse of ``to_model_units`` within one unit.

    Args:
        box: ``(x0, y0, x1, y1)`` as a model said it; clipped, and put in order where it is inverted.
        size: Width and height of the original picture.
        convention: The model's units.
        resized: Width and height after the processor's resize, for ``absolute``.

    Returns:
        Integers within the picture, ``x0 < x1`` and ``y0 < y1``.
    """
    return _scale(box, convention.extent(resized), size)


def _scale(box: Coordinates, old: tuple[int, int], new: tuple[int, int]) -> tuple[int, int, int, int]:
    x0, x1 = _scale_side(box[0], box[2], old[0], new[0])
    y0, y1 = _scale_side(box[1], box[3], old[1], new[1])
    return x0, y0, x1, y1


def _scale_side(low: float, high: float, old: int, new: int) -> tuple[int, int]:
    """Scale two ends from 0..old to 0..new; ends that fall together are parted to the side of less error."""
    low, high = (min(max(end, 0), old) * new / old for end in sorted((low, high)))
    first, last = math.floor(low + 0.5), math.floor(high + 0.5)
    if first == last:
        if first == new or (first > 0 and high < first):
            first -= 1
        else:
            last += 1
    return first, last
