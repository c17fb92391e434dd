"""Units in which a model writes boxes, judged by boxes of rectangles that are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean

Fractions = tuple[float, float, float, float]
"""``(x0, y0, x1, y1)`` in 0..1 of width and of height."""
Size = tuple[int, int]

# A convention fits where boxes lie on the rectangles; a weak model lies beside them in every convention.
_FITS, _BETTER = 0.6, 0.3
# A scale that was fitted has to explain more than one that has a name.
_FITTED_FITS, _LEAST_SCALE = 0.7, 1.25


@dataclass(frozen=True, kw_only=True)
class BoxProbe:
    """Known rectangle, and the box that a model has written for it.

    Attributes:
        size: Width and height of the picture.
        truth: Rectangle.
        numbers: Numbers that the model has written.
        resized: Width and height after the processor's resize, where they are known.
    """

    size: Size
    truth: Fractions
    numbers: tuple[int, int, int, int]
    resized: Size | None = None

    @property
    def pixels(self) -> list[int]:
        """The rectangle in pixels of the picture."""
        return [round(value * side) for value, side in zip(self.truth, 2 * self.size, strict=True)]


@dataclass(frozen=True, kw_only=True)
class BoxVerdict:
    """Judgement of a model's boxes.

    Attributes:
        declared: Convention that the manifest declares, in words.
        iou: Mean IoU of boxes and rectangles, as the manifest declares.
        best: Other convention that fits best, in words.
        best_iou: Mean IoU in that one.
        is_wrong: True where the other one fits, and clearly better.
    """

    declared: str
    iou: float
    best: str
    best_iou: float
    is_wrong: bool


def judge(probes: Sequence[BoxProbe], convention: str, box_range: int) -> BoxVerdict:
    """Judge the convention of boxes; a model whose boxes lie beside the rectangles in every one is weak, not wrong.

    Args:
        probes: Rectangles with what was written, several for each size of a picture.
        convention: ``relative`` or ``absolute``, as the manifest declares.
        box_range: Largest coordinate of ``relative``.
    """
    declared = _RESIZED if convention == "absolute" else _relative(box_range)
    scores = {name: _mean_iou(probes, read) for name, read in _readings(probes, box_range).items()}
    if declared not in scores:
        # Pixels of a size that nobody tells cannot be read; those of the picture as it was sent may be the same.
        scores = {name: iou for name, iou in scores.items() if not name.startswith(_ORIGINAL)}
    can_read, iou = declared in scores, scores.pop(declared, 0.0)
    best, best_iou = max(scores.items(), key=lambda item: item[1])
    is_wrong = best_iou >= _FITS and best_iou - iou >= _BETTER
    if can_read and not is_wrong:
        name, fitted_iou, scale = _fitted(probes, declared, box_range)
        if fitted_iou >= _FITTED_FITS and fitted_iou - iou >= _BETTER and scale >= _LEAST_SCALE:
            best, best_iou, is_wrong = name, fitted_iou, True
    return BoxVerdict(declared=declared, iou=iou, best=best, best_iou=best_iou, is_wrong=is_wrong)


_RESIZED, _ORIGINAL = "pixels of the resized picture", "pixels of the picture as it was sent"
Reading = Callable[[BoxProbe], Fractions]


def _relative(most: int) -> str:
    return f"0..{most} of width and height"


def _readings(probes: Sequence[BoxProbe], box_range: int) -> dict[str, Reading]:
    scales: dict[str, Callable[[BoxProbe], Size]] = {_ORIGINAL: lambda probe: probe.size}
    for most in (box_range, 100, 1000, 1024):
        scales[_relative(most)] = lambda probe, most=most: (most, most)  # type: ignore[misc]
    if all(probe.resized is not None for probe in probes):
        scales[_RESIZED] = lambda probe: probe.resized or probe.size
    readings: dict[str, Reading] = {}
    for name, scale in scales.items():
        readings[name] = lambda probe, scale=scale: _scaled(probe.numbers, scale(probe))  # type: ignore[misc]
        readings[f"{name}, y before x"] = lambda probe, scale=scale: _scaled(  # type: ignore[misc]
            (probe.numbers[1], probe.numbers[0], probe.numbers[3], probe.numbers[2]), scale(probe)
        )
        readings[f"{name}, as x, y, width, height"] = (
            lambda probe, scale=scale: _scaled(  # type: ignore[misc]
                (*probe.numbers[:2], probe.numbers[0] + probe.numbers[2], probe.numbers[1] + probe.numbers[3]),
                scale(probe),
            )
        )
    return readings


def _scaled(numbers: Sequence[int], size: tuple[float, float]) -> Fractions:
    x0, y0, x1, y1 = (min(1.0, value / side) for value, side in zip(numbers, 2 * size, strict=True))
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def _fitted(probes: Sequence[BoxProbe], declared: str, box_range: int) -> tuple[str, float, float]:
    """Return the scale that fits best for each size of a picture: in words, its mean IoU, and how far off it is."""
    scales = {size: _scale([probe for probe in probes if probe.size == size]) for size in {p.size for p in probes}}
    if any(min(scale) <= 0 for scale in scales.values()):
        return "", 0.0, 1.0
    words = " and ".join(f"{x:.0f} x {y:.0f} where it is {w} x {h}" for (w, h), (x, y) in sorted(scales.items()))
    factors = []
    for probe in probes:
        wanted = probe.resized or probe.size if declared == _RESIZED else (box_range, box_range)
        factors += [max(a / b, b / a) for a, b in zip(scales[probe.size], wanted, strict=True)]
    iou = _mean_iou(probes, lambda probe: _scaled(probe.numbers, scales[probe.size]))
    return f"pixels of a picture of {words}", iou, max(factors)


def _scale(probes: Sequence[BoxProbe]) -> tuple[float, float]:
    """Return the numbers of the whole width and height, by least squares."""
    sides = []
    for first in (0, 1):
        pairs = [(probe.truth[k], probe.numbers[k]) for probe in probes for k in (first, first + 2)]
        sides.append(sum(t * n for t, n in pairs) / sum(t * t for t, _ in pairs))
    return sides[0], sides[1]


def _mean_iou(probes: Sequence[BoxProbe], read: Reading) -> float:
    return mean(_iou(read(probe), probe.truth) for probe in probes)


def _iou(a: Fractions, b: Fractions) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inside = max(0.0, width) * max(0.0, height)
    both = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return inside / (both - inside) if both > inside else 0.0
