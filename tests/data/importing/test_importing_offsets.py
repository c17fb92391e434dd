"""Units of offsets: spans by hand, a round trip through every unit, and the unit that a file uses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instruct_mner.data.importing.offsets import UNITS, bounds_of, same_surface, span_of, tell_unit, text_of
from instruct_mner.data.importing.posts import Mark, RawPost
from instruct_mner.errors import DataError
from instruct_mner.schema.choices import Offsets

ANNA = "Anna Bell flew to Oslo"


def post(*pairs: tuple[int, int], text: str | None = ANNA, surface: str | None = None) -> RawPost:
    marks = tuple(Mark(start=start, end=end, surface=surface, label="X") for start, end in pairs)
    return RawPost(where="f:1", text=text, tokens=None if text is None else tuple(text.split()), marks=marks)


@given(st.lists(st.text("aé日😀", min_size=1, max_size=3), min_size=1, max_size=6), st.data())
def test_every_unit_gives_back_the_span_that_was_written_in_it(tokens: list[str], data: st.DataObject) -> None:
    text = " ".join(tokens)
    raw = RawPost(where="f:1", text=text, tokens=tuple(tokens))
    first = data.draw(st.integers(0, len(tokens) - 1))
    last = data.draw(st.integers(first, len(tokens) - 1))
    bounds = bounds_of(raw)
    assert bounds is not None
    start, end = bounds[first][0], bounds[last][1]
    written = {
        "characters": (start, end),
        "characters-inclusive": (start, end - 1),
        "tokens": (first, last + 1),
        "tokens-inclusive": (first, last),
        "utf-16": tuple(len(text[:offset].encode("utf-16-le")) // 2 for offset in (start, end)),
        "bytes": tuple(len(text[:offset].encode()) for offset in (start, end)),
    }
    assert set(written) == set(UNITS)
    for unit in UNITS:
        mark = Mark(start=written[unit][0], end=written[unit][1], surface=None, label="X")
        assert span_of(mark, raw, unit) == (start, end)


@pytest.mark.parametrize(
    ("pair", "unit"),
    [((3, 3), "characters"), ((-1, 2), "characters"), ((0, 23), "characters"), ((4, 6), "tokens"), ((1, 2), "utf-16"),
     ((1, 5), "bytes")],
)  # fmt: skip
def test_offsets_that_are_none_of_the_text(pair: tuple[int, int], unit: Offsets) -> None:
    raw = post(pair, text="😀 a b c" if unit in {"utf-16", "bytes"} else ANNA)
    [mark] = raw.marks or ()
    assert span_of(mark, raw, unit) is None


def test_a_text_is_joined_from_its_tokens() -> None:
    assert text_of(RawPost(where="", tokens=("a", "b"), joiner="_")) == "a_b"
    assert text_of(RawPost(where="", tokens=("我", "New", "York"), joiner=("", " "))) == "我New York"
    assert bounds_of(RawPost(where="", text="a  b", tokens=("a", "b"))) == [(0, 1), (3, 4)]
    assert bounds_of(RawPost(where="", text="a b", tokens=("a", "c"))) is None


@pytest.mark.parametrize(
    ("text", "surface", "same"),
    [("Ann's", "Ann 's", True), ("a b", "ab", True), ("Ann ", "Ann", False), ("Ann", "ann", False)],
)
def test_surfaces_may_differ_in_inner_spaces_alone(text: str, surface: str, same: bool) -> None:
    assert same_surface(text, surface) is same


@pytest.mark.parametrize(
    ("pairs", "unit"),
    [
        ([(0, 9), (18, 22)], "characters"),
        ([(0, 8), (18, 21)], "characters-inclusive"),
        ([(0, 2), (4, 5)], "tokens"),
        ([(0, 1), (4, 4)], "tokens-inclusive"),
    ],
)
def test_the_unit_is_told_by_the_words_that_are_cut(pairs: list[tuple[int, int]], unit: Offsets) -> None:
    assert tell_unit([post(*pairs)], "f") == unit


def test_a_surface_or_the_convention_decides() -> None:
    assert tell_unit([post((0, 1), surface="Anna Bell")], "f") == "tokens-inclusive"
    assert tell_unit([post((0, 1))], "f", "tokens") == "tokens"
    assert tell_unit([post()], "f") == "characters"
    with pytest.raises(DataError, match=r"f: its offsets may be tokens or tokens-inclusive.*--offsets tokens or"):
        tell_unit([post((0, 1))], "f")
    with pytest.raises(DataError, match="f: the offsets of its entities fit neither characters nor tokens"):
        tell_unit([post((0, 99))], "f")


def test_the_example_of_wrong_offsets_is_one_that_is_wrong() -> None:
    marks = [Mark(start=0, end=4, surface="Anna", label="X"), Mark(start=5, end=9, surface="Bob", label="X")]
    match = r"for example 5 to 9 for 'Bob' in 'Anna Bell flew to Oslo' \(f:1\), reads as characters"
    with pytest.raises(DataError, match=match):
        tell_unit([RawPost(where="f:1", text=ANNA, tokens=tuple(ANNA.split()), marks=tuple(marks))], "f")
