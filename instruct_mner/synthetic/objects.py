"""Objects of the synthetic pictures: a drawing for each kind of object, in one main colour.

A drawing is a function of a pen, which knows the object's box, and of a generator, which varies it. All numbers are
shares of the box, from 0 to 1, with the origin at its top left corner.
"""

from __future__ import annotations

import math
import random

from instruct_mner.synthetic.canvas import BARK, INK, WHITE, Drawing, Pen, darker

_SKIN = ((245, 210, 180), (200, 150, 110), (120, 80, 55))


def _figure(pen: Pen, rng: random.Random) -> None:
    skin, dark = rng.choice(_SKIN), darker(pen.colour, 0.45)
    for side, x in ((0.3, 0.1), (0.7, 0.9)):
        pen.line((side, 0.42), (x, rng.uniform(0.22, 0.68)), width=0.11)
    pen.line((0.41, 0.68), (0.33, 1), width=0.13, fill=dark)
    pen.line((0.59, 0.68), (0.67, 1), width=0.13, fill=dark)
    pen.rectangle(0.28, 0.34, 0.72, 0.72, r=0.1)
    pen.ellipse(0.33, 0, 0.67, 0.34, fill=skin)


def _bust(pen: Pen, rng: random.Random) -> None:
    pen.slice(0.05, 0.55, 0.95, 1.45, 180, 360)
    pen.ellipse(0.27, 0.04, 0.73, 0.56, fill=rng.choice(_SKIN))
    pen.slice(0.25, 0, 0.75, 0.5, 180, 360, fill=darker(pen.colour, 0.4))


def _skyline(pen: Pen, rng: random.Random) -> None:
    count = rng.randint(3, 4)
    for index in range(count):
        top, left, right = rng.uniform(0, 0.45), index / count, (index + 1) / count
        pen.rectangle(left, top, right, 1, fill=pen.colour if index % 2 == 0 else darker(pen.colour, 0.72))
        for row in range(int((0.92 - top) / 0.2)):
            y = top + 0.1 + 0.2 * row
            pen.rectangle(left + 0.07, y, left + 0.15, y + 0.08, fill=(255, 248, 190))


def _mountain(pen: Pen, rng: random.Random) -> None:
    second = rng.uniform(0.3, 0.45)
    pen.polygon((0.4, 1), (0.74, second), (1, 1), fill=darker(pen.colour, 0.72))
    pen.polygon((0, 1), (0.38, 0.02), (0.74, 1))
    pen.polygon((0.38, 0.02), (0.26, 0.33), (0.38, 0.26), (0.49, 0.33), fill=WHITE)


def _emblem(pen: Pen, rng: random.Random) -> None:
    if rng.random() < 0.6:
        pen.star(0.5, 0.48, 0.3, WHITE)
    else:
        pen.rectangle(0.25, 0.33, 0.75, 0.44, fill=WHITE)
        pen.rectangle(0.25, 0.54, 0.75, 0.65, fill=WHITE)


def _badge(pen: Pen, rng: random.Random) -> None:
    pen.ellipse(0, 0, 1, 1, fill=darker(pen.colour, 0.45))
    pen.ellipse(0.06, 0.06, 0.94, 0.94)
    _emblem(pen, rng)


def _shield(pen: Pen, rng: random.Random) -> None:
    pen.polygon((0, 0), (1, 0), (0.95, 0.6), (0.5, 1), (0.05, 0.6), fill=darker(pen.colour, 0.45))
    pen.polygon((0.07, 0.07), (0.93, 0.07), (0.88, 0.57), (0.5, 0.91), (0.12, 0.57))
    _emblem(pen, rng)


def _hexagon(pen: Pen, rng: random.Random) -> None:
    for size, fill in ((0.5, darker(pen.colour, 0.45)), (0.43, pen.colour)):
        turns = [corner * math.pi / 3 for corner in range(6)]
        pen.polygon(*((0.5 + size * math.cos(turn), 0.5 + size * math.sin(turn)) for turn in turns), fill=fill)
    _emblem(pen, rng)


def _cup(pen: Pen, rng: random.Random) -> None:
    pen.arc(0.5, 0.38, 0.98, 0.82, -100, 100, 0.09)
    pen.rectangle(0.12, 0.25, 0.68, 1, r=0.08)
    pen.rectangle(0.12, 0.25, 0.68, 0.35, fill=darker(pen.colour, 0.5))
    for x in (0.28, 0.5):
        pen.line((x, 0.18), (x + rng.uniform(-0.06, 0.06), 0), width=0.05, fill=(130, 130, 130))


def _car(pen: Pen, rng: random.Random) -> None:
    roof = rng.uniform(0.12, 0.2)
    pen.polygon((0.18, 0.45), (0.32, roof), (0.7, roof), (0.84, 0.45), fill=darker(pen.colour, 0.7))
    pen.polygon((0.3, 0.43), (0.37, roof + 0.07), (0.49, roof + 0.07), (0.49, 0.43), fill=(215, 235, 245))
    pen.polygon((0.54, 0.43), (0.54, roof + 0.07), (0.66, roof + 0.07), (0.73, 0.43), fill=(215, 235, 245))
    pen.rectangle(0, 0.43, 1, 0.8, r=0.08)
    for x in (0.24, 0.76):
        pen.ellipse(x - 0.14, 0.66, x + 0.14, 0.98, fill=INK)


def _phone(pen: Pen, rng: random.Random) -> None:
    pen.rectangle(0.22, 0, 0.78, 1, r=0.1)
    pen.rectangle(0.29, 0.1, 0.71, 0.82, fill=rng.choice(((225, 235, 245), (60, 66, 80))))
    pen.ellipse(0.44, 0.86, 0.56, 0.96, fill=WHITE)


def _house(pen: Pen, rng: random.Random) -> None:
    pen.rectangle(0.12, 0.42, 0.88, 1)
    pen.polygon((0, 0.46), (0.5, 0), (1, 0.46), fill=darker(pen.colour, 0.55))
    door = rng.choice((0.2, 0.56))
    pen.rectangle(door, 0.62, door + 0.22, 1, fill=WHITE)


def _lighthouse(pen: Pen, rng: random.Random) -> None:
    pen.polygon((0.36, 0.28), (0.64, 0.28), (0.78, 1), (0.22, 1))
    for top in (0.45, 0.72):
        pen.polygon((0.32, top), (0.68, top), (0.72, top + 0.12), (0.28, top + 0.12), fill=WHITE)
    pen.rectangle(0.38, 0.1, 0.62, 0.28, fill=(255, 240, 150))
    pen.polygon((0.32, 0.12), (0.5, 0), (0.68, 0.12), fill=darker(pen.colour, 0.45))
    if rng.random() < 0.5:
        pen.polygon((0.62, 0.19), (1, 0.08), (1, 0.3), fill=(255, 240, 150))


def _guitar(pen: Pen, rng: random.Random) -> None:
    pen.line((0.45, 0.6), (0.85, 0.05), width=0.1, fill=BARK)
    pen.ellipse(0.08, 0.5, 0.58, 1)
    pen.ellipse(0.28, 0.38, 0.66, 0.76)
    pen.ellipse(0.3, 0.58, 0.48, 0.76, fill=INK)
    pen.rectangle(0.78, 0, 0.95, 0.12, fill=INK if rng.random() < 0.5 else BARK)


def _drum(pen: Pen, rng: random.Random) -> None:
    pen.rectangle(0.08, 0.4, 0.92, 0.88)
    pen.ellipse(0.08, 0.74, 0.92, 1)
    pen.ellipse(0.08, 0.26, 0.92, 0.54, fill=WHITE)
    for x in (0.08, 0.36, 0.64):
        pen.line((x, 0.48), (x + 0.14, 0.9), (x + 0.28, 0.48), width=0.03, fill=darker(pen.colour, 0.4))
    tip = rng.uniform(0.0, 0.12)
    pen.line((0.2, tip), (0.55, 0.4), width=0.06, fill=BARK)


def _ball(pen: Pen, rng: random.Random) -> None:
    pen.ellipse(0.04, 0.04, 0.96, 0.96)
    line = darker(pen.colour, 0.4) if rng.random() < 0.5 else WHITE
    pen.line((0.5, 0.04), (0.5, 0.96), width=0.05, fill=line)
    pen.arc(-0.4, 0.1, 0.36, 0.9, -70, 70, 0.05, fill=line)
    pen.arc(0.64, 0.1, 1.4, 0.9, 110, 250, 0.05, fill=line)


def _racket(pen: Pen, rng: random.Random) -> None:
    pen.line((0.42, 0.58), (0.12, 1), width=0.13, fill=BARK)
    pen.ellipse(0.3, 0, 0.95, 0.66)
    pen.ellipse(0.38, 0.08, 0.87, 0.58, fill=(240, 240, 230))
    for step in range(1, 4):
        at = 0.38 + 0.49 * step / 4
        pen.line((at, 0.1), (at, 0.56), width=0.02, fill=(130, 130, 130))
        pen.line((0.4, at - 0.3), (0.85, at - 0.3), width=0.02, fill=(130, 130, 130))
    if rng.random() < 0.5:
        pen.ellipse(0.02, 0.1, 0.2, 0.28, fill=(220, 235, 80))


def _shirt(pen: Pen, rng: random.Random) -> None:
    pen.polygon((0.3, 0), (0, 0.28), (0.16, 0.46), (0.26, 0.38), (0.26, 1), (0.74, 1), (0.74, 0.38), (0.84, 0.46),
                (1, 0.28), (0.7, 0))  # fmt: skip
    pen.slice(0.36, -0.16, 0.64, 0.16, 0, 180, fill=darker(pen.colour, 0.45))
    if rng.random() < 0.5:
        pen.rectangle(0.26, 0.55, 0.74, 0.67, fill=WHITE)


def _hat(pen: Pen, rng: random.Random) -> None:
    top = rng.uniform(0.08, 0.2)
    pen.ellipse(0, 0.66, 1, 0.96, fill=darker(pen.colour, 0.65))
    pen.rectangle(0.24, top, 0.76, 0.82, r=0.12)
    pen.rectangle(0.24, 0.6, 0.76, 0.72, fill=INK)


def _fish(pen: Pen, rng: random.Random) -> None:
    pen.polygon((0.68, 0.5), (1, 0.2), (1, 0.8), fill=darker(pen.colour, 0.7))
    pen.ellipse(0, 0.2, 0.78, 0.8)
    pen.polygon((0.3, 0.24), (0.46, rng.uniform(0.0, 0.1)), (0.58, 0.28), fill=darker(pen.colour, 0.7))
    pen.ellipse(0.12, 0.36, 0.26, 0.5, fill=WHITE)
    pen.ellipse(0.16, 0.4, 0.22, 0.46, fill=INK)


def _cat(pen: Pen, rng: random.Random) -> None:
    pen.polygon((0.08, 0), (0.1, 0.5), (0.42, 0.24))
    pen.polygon((0.92, 0), (0.9, 0.5), (0.58, 0.24))
    pen.ellipse(0.05, 0.16, 0.95, 1)
    for x in (0.3, 0.7):
        pen.ellipse(x - 0.09, 0.44, x + 0.09, 0.6, fill=WHITE)
        pen.ellipse(x - 0.04, 0.45, x + 0.04, 0.6, fill=INK)
    pen.polygon((0.44, 0.68), (0.56, 0.68), (0.5, 0.76), fill=(240, 140, 150))
    if rng.random() < 0.6:
        for y in (0.7, 0.8):
            pen.line((0.02, y), (0.36, 0.75), width=0.025, fill=INK)
            pen.line((0.98, y), (0.64, 0.75), width=0.025, fill=INK)


def _tree(pen: Pen, rng: random.Random) -> None:
    pen.rectangle(0.42, 0.62, 0.58, 1, fill=BARK)
    if rng.random() < 0.5:
        for x0, y0, x1, y1 in ((0.06, 0.24, 0.6, 0.76), (0.4, 0.24, 0.94, 0.76), (0.22, 0, 0.78, 0.52)):
            pen.ellipse(x0, y0, x1, y1)
    else:
        pen.polygon((0.1, 0.78), (0.5, 0.24), (0.9, 0.78), fill=darker(pen.colour, 0.8))
        pen.polygon((0.2, 0.48), (0.5, 0), (0.8, 0.48))


def _flower(pen: Pen, rng: random.Random) -> None:
    pen.line((0.5, 0.4), (0.5, 1), width=0.07, fill=(60, 130, 60))
    pen.ellipse(0.52, 0.7, 0.85, 0.86, fill=(60, 130, 60))
    turn = rng.uniform(0, 1)
    for petal in range(5):
        x, y = 0.5 + 0.2 * math.cos(turn + petal * 1.257), 0.32 + 0.2 * math.sin(turn + petal * 1.257)
        pen.ellipse(x - 0.16, y - 0.16, x + 0.16, y + 0.16)
    pen.ellipse(0.38, 0.2, 0.62, 0.44, fill=(255, 250, 200))


def _cone(pen: Pen, rng: random.Random) -> None:
    pen.polygon((0.2, 0.46), (0.8, 0.46), (0.5, 1), fill=(214, 160, 90))
    pen.line((0.3, 0.62), (0.62, 0.5), width=0.03, fill=BARK)
    pen.line((0.7, 0.62), (0.38, 0.5), width=0.03, fill=BARK)
    pen.ellipse(0.14, 0.04, 0.86, 0.56)
    if rng.random() < 0.5:
        pen.ellipse(0.42, 0, 0.58, 0.14, fill=(200, 30, 50))


def _pizza(pen: Pen, rng: random.Random) -> None:
    pen.polygon((0, 0.12), (1, 0.12), (0.5, 1))
    pen.rectangle(0, 0, 1, 0.18, fill=(190, 125, 60), r=0.09)
    for x, y in ((0.26, 0.27), (0.58, 0.25), (0.42, rng.uniform(0.52, 0.6))):
        pen.ellipse(x, y, x + 0.2, y + 0.18, fill=darker(pen.colour, 0.5))


def _hammer(pen: Pen, rng: random.Random) -> None:
    pen.line((0.46, 0.2), (0.46 + rng.uniform(-0.1, 0.1), 1), width=0.15, fill=BARK)
    pen.rectangle(0.08, 0.02, 0.72, 0.34)
    pen.polygon((0.72, 0.06), (1, 0.2), (0.72, 0.3), fill=darker(pen.colour, 0.7))


def _key(pen: Pen, rng: random.Random) -> None:
    pen.ellipse(0, 0.22, 0.46, 0.76)
    pen.ellipse(0.13, 0.38, 0.32, 0.6, fill=WHITE)
    pen.rectangle(0.42, 0.42, 1, 0.56)
    for x in (0.68, 0.86):
        pen.rectangle(x, 0.54, x + 0.09, rng.uniform(0.7, 0.8))


DRAWINGS: dict[str, Drawing] = {
    "figure": _figure, "bust": _bust,
    "skyline": _skyline, "mountain": _mountain,
    "badge": _badge, "shield": _shield, "hexagon": _hexagon,
    "cup": _cup, "car": _car, "phone": _phone,
    "house": _house, "lighthouse": _lighthouse,
    "guitar": _guitar, "drum": _drum,
    "ball": _ball, "racket": _racket,
    "shirt": _shirt, "hat": _hat,
    "fish": _fish, "cat": _cat,
    "tree": _tree, "flower": _flower,
    "cone": _cone, "pizza": _pizza,
    "hammer": _hammer, "key": _key,
}  # fmt: skip
