"""Entities per post: gold against predicted, which shows a decoder that stops early or does not stop."""

from __future__ import annotations

from dataclasses import dataclass

from instruct_mner.scoring.counts import Tally


@dataclass(frozen=True)
class EntitiesPerPost:
    """Numbers of entities of the posts; rejected items count as predicted.

    Attributes:
        gold: Mean number of gold entities.
        predicted: Mean number of predicted entities.
        fewer: Share of posts with fewer predicted than gold entities, in 0..1.
        more: Share of posts with more predicted than gold entities, in 0..1.
    """

    gold: float
    predicted: float
    fewer: float
    more: float

    @classmethod
    def of(cls, tally: Tally) -> EntitiesPerPost:
        """Return the numbers of a micro tally; all are 0 where there is no post."""
        gold, predicted = tally.gold, tally.predicted
        if not len(gold):
            return cls(0.0, 0.0, 0.0, 0.0)
        return cls(
            gold=float(gold.mean()),
            predicted=float(predicted.mean()),
            fewer=float((predicted < gold).mean()),
            more=float((predicted > gold).mean()),
        )

    def describe(self) -> str:
        """Return the numbers as a line for people."""
        return (
            f"entities per post: gold {self.gold:.2f}, predicted {self.predicted:.2f}; fewer than gold in "
            f"{100 * self.fewer:.1f} % of the posts, more in {100 * self.more:.1f} %"
        )
