"""Three systems and more on the same posts: all scores of each, and all pairs compared, with p-values after Holm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations

from instruct_mner.schema.choices import Match
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.scoring.bootstrap import DEFAULT_NUM_RESAMPLES, Difference, compare
from instruct_mner.scoring.report import Gold, Report, measure_system

_PAIRED = ("micro", "triples.gmner")


@dataclass(frozen=True)
class Pair:
    """Two systems compared.

    Attributes:
        first: Name of the first system.
        second: Name of the second system.
        score: Name of the score: ``micro``, or ``triples.gmner``.
        difference: F1 of the second less that of the first.
        adjusted_p_value: p-value after Holm, over all pairs of the score, in 0..1.
    """

    first: str
    second: str
    score: str
    difference: Difference
    adjusted_p_value: float


@dataclass(frozen=True)
class Systems:
    """Scores of several systems on the same posts.

    Attributes:
        reports: Report of each system, in the order in which they were given.
        pairs: All pairs, for micro F1, and for GMNER F1 where all systems are grounded.
    """

    reports: tuple[Report, ...]
    pairs: tuple[Pair, ...]

    def to_dict(self) -> dict[str, object]:
        """As one JSON object; all shares are in 0..1."""
        first, *_ = described = [report.to_dict() for report in self.reports]
        shared = ("gold", "match", "bootstrap")
        systems = [{name: value for name, value in each.items() if name not in {*shared, "comparison"}}
                   for each in described]  # fmt: skip
        return {**{name: first[name] for name in shared}, "systems": systems, "pairs": [asdict(p) for p in self.pairs]}


def evaluate_systems(
    gold: Gold,
    posts: Sequence[Example],
    systems: Sequence[tuple[str, Sequence[Prediction]]],
    *,
    match: Match = "offset",
    seed: int = 0,
    num_resamples: int = DEFAULT_NUM_RESAMPLES,
) -> Systems:
    """Score systems and compare each with each by a paired bootstrap.

    Args:
        gold: Stamp of the gold.
        posts: The gold.
        systems: Name and predictions of each.
        match: Condition under which an entity is right.
        seed: Seed of the bootstrap.
        num_resamples: Draws of posts.

    Raises:
        DataError: Gold and predictions are not of the same posts.
    """
    measured = [
        measure_system(gold, posts, predictions, name, match=match, labels=None, seed=seed, num_resamples=num_resamples)
        for name, predictions in systems
    ]
    pairs: list[Pair] = []
    for score in _PAIRED:
        if not all(score in system.tallies for system in measured):
            continue
        differences = [
            compare([first.tallies[score]], [second.tallies[score]], seed=seed, num_resamples=num_resamples)[0]
            for first, second in combinations(measured, 2)
        ]
        adjusted = holm([difference.p_value for difference in differences])
        for (first, second), difference, p_value in zip(combinations(measured, 2), differences, adjusted, strict=True):
            pairs.append(Pair(first.report.predicted, second.report.predicted, score, difference, p_value))
    return Systems(tuple(system.report for system in measured), tuple(pairs))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values of several tests, so that the chance of one false positive among them is bounded.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979,
    https://www.jstor.org/stable/4615733
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
