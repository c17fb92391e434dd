"""Conventions of boxes: a wrong one is told from a model that is weak."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instruct_mner.tagging.box_conventions import BoxProbe, Fractions, Size, judge
from instruct_mner.tagging.probes import _RECTANGLES, _SIZES

RESIZED = {(448, 448): (336, 336), (896, 448): (504, 252)}


def written(box: Fractions, size: tuple[float, float], order: str = "xyxy") -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = (round(max(0.0, value) * side) for value, side in zip(box, 2 * size, strict=True))
    by_order = {"xyxy": (x0, y0, x1, y1), "yxyx": (y0, x0, y1, x1), "xywh": (x0, y0, x1 - x0, y1 - y0)}
    return by_order[order]


def probes(write, *, noise: float = 0.0, seed: int = 0) -> list[BoxProbe]:
    """Probes of a model that sees rectangles with some noise and writes them by rule."""
    generator = random.Random(seed)

    def moved(box: Fractions) -> Fractions:
        x0, y0, x1, y1 = (value + generator.gauss(0, noise) for value in box)
        return x0, y0, x1, y1

    return [
        BoxProbe(size=size, truth=box, numbers=write(moved(box), size), resized=RESIZED[size])
        for size in _SIZES
        for box in _RECTANGLES
    ]


WRITERS = {
    "0..1000 of width and height": lambda box, size: written(box, (1000, 1000)),
    "0..100 of width and height": lambda box, size: written(box, (100, 100)),
    "pixels of the picture as it was sent": written,
    "pixels of the resized picture": lambda box, size: written(box, RESIZED[size]),
    "0..1000 of width and height, y before x": lambda box, size: written(box, (1000, 1000), "yxyx"),
    "0..1000 of width and height, as x, y, width, height": lambda box, size: written(box, (1000, 1000), "xywh"),
    "pixels of a picture of 700 x 700 where it is 448 x 448 and 1400 x 700 where it is 896 x 448": lambda box, size: (
        written(box, (size[0] * 1.5625, size[1] * 1.5625))
    ),
}
DECLARED = {"relative": "0..1000 of width and height", "absolute": "pixels of the resized picture"}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("convention", DECLARED)
@pytest.mark.parametrize("noise", [0.0, 0.015])
def test_a_wrong_convention_is_named_and_a_right_one_passes(name: str, convention: str, noise: float) -> None:
    verdict = judge(probes(WRITERS[name], noise=noise), convention, 1000)
    assert verdict.declared == DECLARED[convention]
    if name == DECLARED[convention]:
        assert not verdict.is_wrong
        assert verdict.iou > 0.75
    else:
        assert verdict.is_wrong
        # A scale that was fitted to noise has other numbers.
        assert verdict.best == name or (noise and "picture of" in name and verdict.best.startswith("pixels of a"))
        assert verdict.best_iou > 0.75 > verdict.iou + 0.2


def _constant(box: Fractions, size: Size) -> tuple[int, int, int, int]:
    return 250, 250, 750, 750


def _whole(box: Fractions, size: Size) -> tuple[int, int, int, int]:
    return 0, 0, 1000, 1000


def _to_the_middle(box: Fractions, size: Size) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = (0.5 + (value - 0.5) / 2 for value in box)
    return written((x0, y0, x1, y1), (1000, 1000))


def _small(box: Fractions, size: Size) -> tuple[int, int, int, int]:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return written((x - 0.05, y - 0.05, x + 0.05, y + 0.05), (1000, 1000))


@pytest.mark.parametrize("write", [_constant, _whole, _to_the_middle, _small])
@pytest.mark.parametrize("convention", DECLARED)
def test_a_weak_model_is_not_refused(write, convention: str) -> None:
    assert not judge(probes(write), convention, 1000).is_wrong


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from([0.05, 0.1, 0.2, 0.4]))
def test_a_noisy_model_in_the_right_units_is_not_refused(seed: int, noise: float) -> None:
    assert not judge(probes(WRITERS[DECLARED["relative"]], noise=noise, seed=seed), "relative", 1000).is_wrong


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 1500)] * 4), min_size=6, max_size=6))
def test_numbers_without_a_meaning_are_not_refused(numbers: list[tuple[int, int, int, int]]) -> None:
    pairs = [(size, box) for size in _SIZES for box in _RECTANGLES]
    seen = [BoxProbe(size=size, truth=box, numbers=n) for (size, box), n in zip(pairs, numbers, strict=True)]
    assert not judge(seen, "relative", 1000).is_wrong


@pytest.mark.parametrize(("writer", "is_wrong"), [("0..1000 of width and height", True), ("pixels of", False)])
def test_pixels_of_an_unknown_size_are_judged_by_whether_they_are_something_else(writer: str, is_wrong: bool) -> None:
    write = next(each for name, each in WRITERS.items() if name.startswith(writer))
    seen = [BoxProbe(size=size, truth=box, numbers=write(box, size)) for size in _SIZES for box in _RECTANGLES]
    verdict = judge(seen, "absolute", 1000)
    assert verdict.is_wrong is is_wrong
    assert verdict.iou == 0
