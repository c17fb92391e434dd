"""Outcomes of single entities: right, wrong type, wrong boundary, missed, spurious.

Gold and predicted entities of a post are paired one to one: those at the same place first, then those that overlap, in
text order.

Source: the strict scheme of SemEval-2013 task 9.1 (Segura-Bedmar et al., 2013), as nervaluate counts it:
https://github.com/MantisAI/nervaluate; its "incorrect" is parted here into type, boundary and both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from instruct_mner.schema.records import Entity, PredictedEntity


class Outcome(StrEnum):
    """Outcome of a gold entity, a predicted one, or a pair of both."""

    RIGHT = "right"
    TYPE = "wrong type"
    BOUNDARY = "wrong boundary"
    BOTH = "wrong type and boundary"
    MISSED = "missed"
    SPURIOUS = "spurious"


@dataclass(frozen=True, kw_only=True)
class EntityPair:
    """A gold entity and the predicted one that stands for it; one of them may be missing.

    Attributes:
        gold: Gold entity; ``None`` for a spurious one.
        predicted: Predicted entity; ``None`` for a missed one.
    """

    gold: Entity | None
    predicted: PredictedEntity | None

    @property
    def outcome(self) -> Outcome:
        """Outcome of the pair."""
        if self.gold is None or self.predicted is None:
            return Outcome.MISSED if self.predicted is None else Outcome.SPURIOUS
        same_type = self.gold.label == self.predicted.label
        if _place(self.gold) == _place(self.predicted):
            return Outcome.RIGHT if same_type else Outcome.TYPE
        return Outcome.BOUNDARY if same_type else Outcome.BOTH

    @property
    def start(self) -> int:
        """First character of the pair."""
        return min(each.start for each in (self.gold, self.predicted) if each is not None)


def pair_entities(gold: Sequence[Entity], predicted: Sequence[PredictedEntity]) -> list[EntityPair]:
    """Pair the entities of one post; each stands in one pair, and pairs are in text order.

    Args:
        gold: Gold entities, in text order and flat.
        predicted: Predicted entities, likewise.
    """
    free = {_place(each): each for each in gold}
    found: dict[tuple[int, int], Entity] = {}
    for each in predicted:
        if _place(each) in free:
            found[_place(each)] = free.pop(_place(each))
    for each in predicted:
        if _place(each) not in found:
            overlapping = next((other for other in free.values() if _overlap(each, other)), None)
            if overlapping is not None:
                found[_place(each)] = free.pop(_place(overlapping))
    pairs = [EntityPair(gold=found.get(_place(each)), predicted=each) for each in predicted]
    pairs += [EntityPair(gold=each, predicted=None) for each in free.values()]
    return sorted(pairs, key=lambda pair: pair.start)


def _place(entity: Entity) -> tuple[int, int]:
    return entity.start, entity.end


def _overlap(first: Entity, second: Entity) -> bool:
    return first.start < second.end and second.start < first.end
