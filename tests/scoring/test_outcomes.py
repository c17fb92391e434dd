from __future__ import annotations

import random

import pytest
from nervaluate.entities import Entity as OtherEntity
from nervaluate.strategies import StrictEvaluation

from instruct_mner.schema.records import Entity, PredictedEntity
from instruct_mner.scoring.outcomes import EntityPair, Outcome, pair_entities

TEXT = "abcdefghijklmnopqrstuvwxyz"
LABELS = ("LOC", "ORG", "PER")


def entity(start: int, end: int, label: str) -> Entity:
    return Entity(start=start, end=end, text=TEXT[start:end], label=label)


def predicted(start: int, end: int, label: str) -> PredictedEntity:
    return PredictedEntity(start=start, end=end, text=TEXT[start:end], label=label)


@pytest.mark.parametrize(
    ("gold", "found", "outcomes"),
    [
        ((0, 3, "PER"), (0, 3, "PER"), [Outcome.RIGHT]),
        ((0, 3, "PER"), (0, 3, "LOC"), [Outcome.TYPE]),
        ((0, 3, "PER"), (0, 4, "PER"), [Outcome.BOUNDARY]),
        ((0, 3, "PER"), (2, 4, "LOC"), [Outcome.BOTH]),
        ((0, 3, "PER"), (3, 4, "PER"), [Outcome.MISSED, Outcome.SPURIOUS]),
    ],
)
def test_outcomes(gold: tuple[int, int, str], found: tuple[int, int, str], outcomes: list[Outcome]) -> None:
    assert [pair.outcome for pair in pair_entities([entity(*gold)], [predicted(*found)])] == outcomes


def flat(rng: random.Random) -> list[tuple[int, int, str]]:
    edges = sorted(rng.sample(range(len(TEXT) + 1), 2 * rng.randint(0, 5)))
    return [(start, end, rng.choice(LABELS)) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def test_counts_are_those_of_nervaluate() -> None:
    """2,000 random posts; its ends are inclusive."""
    rng = random.Random(0)
    for _ in range(2000):
        gold, found = flat(rng), flat(rng)
        pairs = pair_entities([entity(*each) for each in gold], [predicted(*each) for each in found])
        counts = {each: sum(pair.outcome == each for pair in pairs) for each in Outcome}
        theirs, _ = StrictEvaluation().evaluate(
            [OtherEntity(label=label, start=start, end=end - 1) for start, end, label in gold],
            [OtherEntity(label=label, start=start, end=end - 1) for start, end, label in found],
            list(LABELS),
        )
        wrong = counts[Outcome.TYPE] + counts[Outcome.BOUNDARY] + counts[Outcome.BOTH]
        assert (counts[Outcome.RIGHT], wrong) == (theirs.correct, theirs.incorrect)
        assert (counts[Outcome.MISSED], counts[Outcome.SPURIOUS]) == (theirs.missed, theirs.spurious)


def test_each_entity_stands_in_one_pair_in_text_order() -> None:
    gold = [entity(0, 4, "PER"), entity(5, 9, "LOC")]
    found = [predicted(3, 6, "LOC"), predicted(8, 10, "ORG")]
    pairs = pair_entities(gold, found)
    assert pairs == [
        EntityPair(gold=gold[0], predicted=found[0]),
        EntityPair(gold=gold[1], predicted=found[1]),
    ]
