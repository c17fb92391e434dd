"""Recall of gold mentions that stand in the training data, and of those that do not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from instruct_mner.schema.records import Example, Prediction


@dataclass(frozen=True, kw_only=True)
class Recall:
    """Found among all.

    Attributes:
        found: Number of gold mentions that were predicted with their place and type.
        gold: Number of gold mentions.
    """

    found: int
    gold: int

    @property
    def share(self) -> float:
        """Share that was found, in 0..1; 0 where there is no gold."""
        return self.found / self.gold if self.gold else 0.0


@dataclass(frozen=True, kw_only=True)
class SeenRecall:
    """Recall by whether the training data hold the mention, in lower case, with the same type.

    Source: Augenstein et al., Generalisation in Named Entity Recognition, 2017 (arXiv:1701.02877).

    Attributes:
        seen: Recall of mentions that they hold.
        unseen: Recall of the others.
    """

    seen: Recall
    unseen: Recall


def seen_recall(train: Iterable[Example], pairs: Sequence[tuple[Example, Prediction]]) -> SeenRecall:
    """Return the recall of seen and of unseen mentions.

    Args:
        train: Annotated posts of the training data.
        pairs: Annotated posts with their predictions.
    """
    known = {(each.text.casefold(), each.label) for example in train for each in example.gold}
    counts = {True: [0, 0], False: [0, 0]}
    for example, prediction in pairs:
        places = {(each.start, each.end, each.label) for each in prediction.entities}
        for each in example.gold:
            count = counts[(each.text.casefold(), each.label) in known]
            count[0] += (each.start, each.end, each.label) in places
            count[1] += 1
    seen, unseen = (Recall(found=found, gold=gold) for found, gold in (counts[True], counts[False]))
    return SeenRecall(seen=seen, unseen=unseen)
