"""The pictures of the dozen: drawn, so that they can be given away, and the same on every machine.

All numbers are pixels of the finished picture, 320 x 240.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

SIZE = (320, 240)

# Drawn larger and made small: Pillow's own edges are jagged.
_OVERSAMPLING = 4

_Rectangle = tuple[int, int, int, int]
_Parts = dict[str, _Rectangle]

_NIGHT, _SKY, _DAWN, _WARM = "#1d2340", "#bfe3f2", "#f7b58a", "#f3e3c8"
_INK, _WHITE, _SUN, _RED, _TEAL = "#26262e", "#ffffff", "#ffd34d", "#d8483e", "#23837d"


@dataclass(frozen=True)
class Drawing:
    """A picture, and where its parts are: name to ``(x0, y0, x1, y1)``."""

    image: Image.Image
    boxes: _Parts


class _Canvas:
    """Pillow's shapes, in pixels of the finished picture."""

    def __init__(self, background: str) -> None:
        width, height = SIZE
        self._image = Image.new("RGB", (width * _OVERSAMPLING, height * _OVERSAMPLING), background)
        self._draw = ImageDraw.Draw(self._image)

    def rectangle(self, box: _Rectangle, colour: str, radius: int = 0) -> None:
        self._draw.rounded_rectangle(_scaled(box), radius * _OVERSAMPLING, fill=colour)

    def ellipse(self, box: _Rectangle, colour: str) -> None:
        self._draw.ellipse(_scaled(box), fill=colour)

    def polygon(self, corners: Sequence[int], colour: str) -> None:
        self._draw.polygon(_scaled(corners), fill=colour)

    def line(self, points: Sequence[int], colour: str, width: int) -> None:
        self._draw.line(_scaled(points), fill=colour, width=width * _OVERSAMPLING, joint="curve")

    def arc(self, box: _Rectangle, start: int, end: int, colour: str, width: int) -> None:
        self._draw.arc(_scaled(box), start, end, fill=colour, width=width * _OVERSAMPLING)

    def half(self, box: _Rectangle, start: int, end: int, colour: str) -> None:
        self._draw.pieslice(_scaled(box), start, end, fill=colour)

    def finished(self) -> Image.Image:
        return self._image.reduce(_OVERSAMPLING)


def _scaled(values: Sequence[int]) -> list[int]:
    return [value * _OVERSAMPLING for value in values]


def _person(canvas: _Canvas, x: int, skin: str, hair: str, shirt: str, *, top: int = 50) -> _Rectangle:
    """Head and shoulders around ``x``, cut by the lower edge of the picture."""
    canvas.half((x - 36, top - 4, x + 36, top + 80), 180, 360, hair)
    canvas.rectangle((x - 36, top + 36, x - 22, top + 74), hair, 6)
    canvas.rectangle((x + 22, top + 36, x + 36, top + 74), hair, 6)
    canvas.rectangle((x - 13, top + 66, x + 13, top + 106), skin)
    canvas.ellipse((x - 29, top + 8, x + 29, top + 84), skin)
    canvas.half((x - 31, top, x + 31, top + 60), 190, 350, hair)
    for eye in (x - 12, x + 12):
        canvas.ellipse((eye - 3, top + 40, eye + 3, top + 47), _INK)
    canvas.arc((x - 13, top + 46, x + 13, top + 68), 25, 155, _INK, 3)
    canvas.rectangle((x - 58, top + 98, x + 58, SIZE[1] + 40), shirt, 40)
    return x - 58, top - 4, x + 58, SIZE[1]


def _friend(canvas: _Canvas) -> _Parts:
    canvas.ellipse((236, 24, 292, 80), _SUN)
    canvas.rectangle((0, 190, 320, 240), "#8cc46f")
    return {"person": _person(canvas, 150, "#c98d62", "#3b2a20", _RED)}


def _desert(canvas: _Canvas) -> _Parts:
    canvas.ellipse((206, 30, 262, 86), _WHITE)
    canvas.polygon((20, 160, 44, 84, 76, 78, 92, 112, 118, 96, 150, 160), "#a4532f")
    canvas.polygon((0, 150, 90, 132, 200, 168, 320, 136, 320, 240, 0, 240), "#d98a4a")
    canvas.polygon((0, 200, 130, 166, 320, 212, 320, 240, 0, 240), "#b96a34")
    return {"land": (0, 78, 320, 240)}


def _skyline(canvas: _Canvas) -> _Parts:
    canvas.ellipse((18, 62, 82, 126), _SUN)
    tops = (128, 84, 110, 52, 96, 70, 118, 60, 104, 132)
    for index, top in enumerate(tops):
        left = index * 32
        canvas.rectangle((left, top, left + 30, 196), _NIGHT)
        for row in range(top + 10, 186, 16):
            for column in (left + 6, left + 18):
                if (row + column * 3) % 5:
                    canvas.rectangle((column, row, column + 5, row + 7), _SUN)
    canvas.rectangle((0, 196, 320, 240), "#4c6a92")
    return {"city": (0, 52, 320, 196)}


def _badge(canvas: _Canvas) -> _Parts:
    canvas.line((110, 0, 160, 62, 210, 0), _RED, 9)
    canvas.rectangle((86, 56, 234, 226), "#c3c9d4", 14)
    canvas.rectangle((89, 59, 231, 223), _WHITE, 12)
    canvas.rectangle((89, 59, 231, 96), _TEAL, 10)
    canvas.polygon((145, 90, 160, 64, 175, 90), _WHITE)
    canvas.ellipse((136, 108, 184, 156), "#e3b58f")
    canvas.half((118, 152, 202, 236), 180, 360, _INK)
    canvas.rectangle((112, 202, 208, 210), "#9aa3b2", 4)
    return {"badge": (86, 56, 234, 226)}


def _crest(canvas: _Canvas) -> _Parts:
    for stripe in range(0, 240, 48):
        canvas.rectangle((0, stripe, 320, stripe + 24), "#3f8f4f")
    shield = (92, 30, 228, 30, 228, 134, 160, 216, 92, 134)
    canvas.polygon(shield, _WHITE)
    canvas.polygon((100, 38, 220, 38, 220, 131, 160, 204, 100, 131), _NIGHT)
    canvas.polygon((118, 58, 142, 84, 178, 84, 202, 58, 196, 124, 160, 172, 124, 124), "#ef7f2d")
    canvas.polygon((124, 124, 160, 112, 196, 124, 160, 172), _WHITE)
    for eye in (142, 178):
        canvas.ellipse((eye - 5, 102, eye + 5, 112), _INK)
    canvas.ellipse((153, 156, 167, 168), _INK)
    return {"crest": (92, 30, 228, 216)}


def _phone(canvas: _Canvas) -> _Parts:
    canvas.rectangle((110, 16, 210, 224), _INK, 18)
    canvas.rectangle((118, 34, 202, 204), "#3e6fb5", 6)
    canvas.ellipse((154, 209, 166, 221), "#6b6b78")
    for crack in ((202, 60, 166, 84, 174, 110, 118, 140), (166, 84, 140, 60, 118, 64), (174, 110, 202, 140)):
        canvas.line(crack, _WHITE, 2)
    canvas.line((174, 110, 160, 160, 178, 204), _WHITE, 2)
    return {"phone": (110, 16, 210, 224)}


def _stage(canvas: _Canvas) -> _Parts:
    canvas.polygon((84, 0, 96, 0, 168, 240, 4, 240), "#5a4a8f")
    canvas.polygon((226, 0, 238, 0, 316, 240, 152, 240), "#8f4a78")
    parts = {
        "left": _person(canvas, 90, "#f0c9a4", "#d9a441", _TEAL, top=72),
        "right": _person(canvas, 230, "#7d5237", "#17131a", _SUN, top=72),
    }
    for x in (90, 230):
        canvas.line((x, 166, x, 240), "#c3c9d4", 5)
        canvas.ellipse((x - 10, 150, x + 10, 172), _INK)
    return parts


def _coffee(canvas: _Canvas) -> _Parts:
    canvas.rectangle((24, 20, 84, 110), _SKY, 4)
    person = _person(canvas, 190, "#e3b58f", "#5b2d1e", "#6a5acd")
    _mug(canvas, 96, 176)
    return {"person": person}


def _mug(canvas: _Canvas, x: int, y: int) -> None:
    canvas.arc((x + 34, y + 8, x + 66, y + 42), 270, 90, _WHITE, 7)
    canvas.rectangle((x, y, x + 50, y + 54), _WHITE, 8)
    canvas.ellipse((x + 4, y - 3, x + 46, y + 8), "#5a3620")
    for steam in (x + 14, x + 32):
        canvas.line((steam, y - 10, steam + 6, y - 20, steam, y - 30, steam + 6, y - 40), "#c7bfae", 3)


def _cup(canvas: _Canvas) -> _Parts:
    canvas.rectangle((0, 190, 320, 240), "#9c6b43")
    _mug(canvas, 130, 138)
    return {}


def _mayor(canvas: _Canvas) -> _Parts:
    canvas.rectangle((0, 190, 320, 240), "#4c8fb5")
    canvas.rectangle((134, 140, 320, 152), _INK)
    for tower in (176, 272):
        canvas.rectangle((tower, 60, tower + 10, 196), _RED)
    for start, middle, end in ((134, 140, 181), (181, 229, 277), (277, 320, 360)):
        canvas.line((start, 62 if start > 140 else 120, middle, 132, end, 62), _RED, 3)
    person = _person(canvas, 72, "#f0c9a4", "#8b8b93", _NIGHT)
    canvas.line((0, 206, 320, 206), "#e8385f", 8)
    return {"person": person, "bridge": (134, 60, 320, 196)}


def _television(canvas: _Canvas) -> _Parts:
    canvas.rectangle((40, 30, 280, 190), _INK, 8)
    canvas.rectangle((50, 40, 270, 180), "#2b1f5c")
    for x, y in ((70, 60), (112, 150), (96, 96), (236, 62), (250, 140), (206, 166), (140, 54)):
        canvas.ellipse((x, y, x + 4, y + 4), _WHITE)
    canvas.ellipse((128, 74, 196, 142), "#f29ac0")
    canvas.half((128, 74, 196, 142), 180, 360, "#fbe0ec")
    canvas.arc((104, 92, 220, 128), 340, 200, _SUN, 6)
    canvas.rectangle((130, 190, 190, 204), _INK)
    canvas.rectangle((20, 204, 300, 216), "#7a5236", 4)
    return {"screen": (50, 40, 270, 180)}


DRAWINGS: dict[str, tuple[str, Callable[[_Canvas], _Parts]]] = {
    "friend": (_SKY, _friend),
    "desert": (_DAWN, _desert),
    "skyline": (_DAWN, _skyline),
    "badge": (_WARM, _badge),
    "crest": ("#4aa35c", _crest),
    "phone": ("#d9d4cc", _phone),
    "stage": (_NIGHT, _stage),
    "coffee": (_WARM, _coffee),
    "cup": ("#cfe0d4", _cup),
    "mayor": (_SKY, _mayor),
    "television": ("#56657a", _television),
}
"""Name to background and to what draws on it."""


def draw(name: str) -> Drawing:
    """Draw one of ``DRAWINGS``."""
    background, paint = DRAWINGS[name]
    canvas = _Canvas(background)
    boxes = paint(canvas)
    return Drawing(canvas.finished(), boxes)
