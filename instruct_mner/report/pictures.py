"""Pictures as they stand inside the page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from instruct_mner.errors import DataError
from instruct_mner.images import open_image
from instruct_mner.schema.records import Box

MAX_EDGE = 480
"""Longest side in pixels: that of a card on a wide screen; larger ones would only weigh."""
_QUALITY = 80


@dataclass(frozen=True, kw_only=True)
class PagePicture:
    """A picture as it is shown.

    Attributes:
        source: Data URI, WebP.
        width: Width of the original in pixels.
        height: Height of the original in pixels.
    """

    source: str
    width: int
    height: int

    def place(self, box: Box) -> list[float]:
        """Return left, top, width and height of a box, in percent of the picture."""
        x0, y0, x1, y1 = box.box
        left, top = 100 * x0 / self.width, 100 * y0 / self.height
        return [round(value, 1) for value in (left, top, 100 * x1 / self.width - left, 100 * y1 / self.height - top)]


def read_picture(path: Path) -> PagePicture | None:
    """Return the picture of a file; ``None`` where it is not there, or cannot be read."""
    try:
        image = open_image(path)
    except (DataError, OSError):
        return None
    width, height = image.size
    image.thumbnail((MAX_EDGE, MAX_EDGE))
    file = io.BytesIO()
    image.save(file, "WEBP", quality=_QUALITY)
    encoded = base64.b64encode(file.getvalue()).decode("ascii")
    return PagePicture(source=f"data:image/webp;base64,{encoded}", width=width, height=height)
