"""Entities of raw posts in characters: by their offsets, or looked up in the text."""

from __future__ import annotations

from typing import Any

import pytest

from instruct_mner.data.importing.entities import EntityNotes, entities_of
from instruct_mner.data.importing.posts import Mark, RawPost

TEXT = "Anna met Anna in Oslo"


def mark(start: int | None, end: int | None, surface: str | None = None, **more: Any) -> Mark:
    return Mark(start=start, end=end, surface=surface, label="X", **more)


def spans(marks: list[Mark], unit: Any = "characters", notes: EntityNotes | None = None, **post: Any) -> list[Any]:
    raw = RawPost(where="f:1", text=post.pop("text", TEXT), marks=tuple(marks), **post)
    found = entities_of(raw, unit, notes or EntityNotes())
    return [(entity.start, entity.end, entity.text) for entity in found]


def test_offsets_are_read_in_their_unit() -> None:
    assert spans([mark(0, 4), mark(17, 21, "Oslo")]) == [(0, 4, "Anna"), (17, 21, "Oslo")]
    assert spans([mark(17, 20)], "characters-inclusive") == [(17, 21, "Oslo")]
    tokens = tuple(TEXT.split())
    assert spans([mark(1, 3)], "tokens", tokens=tokens) == [(5, 13, "met Anna")]
    assert spans([mark(2, 2)], "tokens-inclusive", tokens=tokens, text=None) == [(9, 13, "Anna")]
    assert spans([mark(3, 7)], "utf-16", text="😀 Anna") == [(2, 6, "Anna")]


def test_surfaces_are_looked_up_one_after_the_other_and_doubts_are_noted() -> None:
    notes = EntityNotes()
    assert spans([mark(None, None, "Anna"), mark(None, None, "Anna")], notes=notes) == [(0, 4, "Anna"), (9, 13, "Anna")]
    assert notes.lines("f") == []
    # Of two places the first is taken, and the user is told.
    assert spans([mark(None, None, "Anna", unread=frozenset({"note", "id"}))], notes=notes) == [(0, 4, "Anna")]
    assert notes.lines("f") == [
        "f: 1 mentions without offsets stand more than once in their text, and the first places were taken: 'Anna' in "
        "'Anna met Anna in Oslo'",
        "f: fields of entities that are left out: id, note",
    ]


@pytest.mark.parametrize(
    ("marks", "reason"),
    [
        (
            [mark(17, 22)],
            "entity with the offsets 17 to 22 lies outside of the text, or is empty; they are read as char",
        ),
        ([mark(16, 20, "Oslo")], r"the text has ' Osl'$"),
        ([mark(4, 4)], "lies outside of the text, or is empty"),
        ([mark(0, 4, "Oslo")], "entity 'Oslo' at 0 to 4 does not stand there: the text has 'Anna'"),
        ([mark(None, None, "Bob")], "entity 'Bob' does not stand in the text"),
        ([mark(None, None, "Oslo")] * 2, "entity 'Oslo' does not stand in the text, or is listed more often"),
        ([mark(None, None, "")], "an entity has neither offsets nor a text"),
    ],
)
def test_entities_that_are_none_of_the_text(marks: list[Mark], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        spans(marks)


def test_a_unit_in_which_a_surface_stands_there_is_named() -> None:
    text = "😀 Anna in Oslo"
    for pair, surface, unit in (
        ((3, 7), "Anna", "utf-16"),
        ((13, 17), "Oslo", "bytes"),
        ((2, 5), "Anna", "characters-"),
    ):
        with pytest.raises(ValueError, match=f"they are read as {unit}.*: --offsets {unit}"):
            spans([mark(*pair, surface)], text=text)


def test_a_confidence_behind_a_label_is_refused() -> None:
    post = RawPost(where="f:1", text=TEXT, marks=(Mark(start=0, end=4, surface=None, label="PER:0.93"),))
    with pytest.raises(ValueError, match=r"label 'PER:0\.93': a number stands behind its type"):
        entities_of(post, "characters", EntityNotes())
