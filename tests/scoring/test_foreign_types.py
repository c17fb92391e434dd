"""Types of predictions that are those of the gold in another spelling."""

from __future__ import annotations

import pytest

from instruct_mner.schema.records import Entity, Example, PredictedEntity, Prediction
from instruct_mner.scoring.foreign_types import note_on_types


def note(gold: str, predicted: str) -> str | None:
    """Return the note on types, a letter of the text each."""
    text = "abcdefghijklmnopqrstuvwxyz"
    places = [{"start": number, "end": number + 1, "text": letter} for number, letter in enumerate(text)]
    right = tuple(Entity(**place, label=label) for place, label in zip(places, gold.split(), strict=False))
    found = tuple(
        PredictedEntity(**place, label=label) for place, label in zip(places, predicted.split(), strict=False)
    )
    return note_on_types([Example(id="1", text=text, entities=right)], [Prediction(id="1", text=text, entities=found)])


@pytest.mark.parametrize(
    ("gold", "predicted", "said"),
    [
        ("PER LOC", "per loc per", "no predicted type is one of the gold's; did you mean LOC by loc, PER by per?"),
        ("PER LOC", "B-PER I-PER", "no predicted type is one of the gold's; did you mean PER by B-PER, PER by I-PER?"),
        ("building_other", "Building-Other", "no predicted type is one of the gold's; did you mean building_other by"),
        ("PER LOC", "person place", "one of the gold's: predicted are person, place, gold are LOC, PER"),
        ("PER LOC", "per LOC x", "1 of 3 predicted entities have a type that the gold spells otherwise; did you"),
        ("A B C D E F", "u v", "gold are A, B, C, D, E, …"),
    ],
)
def test_types_of_another_spelling(gold: str, predicted: str, said: str) -> None:
    assert said in (note(gold, predicted) or "")


@pytest.mark.parametrize(
    ("gold", "predicted"),
    [("PER LOC", "PER MISC"), ("PER per", "per PER"), ("", "PER"), ("PER", ""), ("PER", "PER B-PER-like")],
)
def test_nothing_is_odd(gold: str, predicted: str) -> None:
    assert note(gold, predicted) is None
