"""All scores of a prediction file in one typed report, with intervals and what they were measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from instruct_mner.errors import DataError
from instruct_mner.schema.choices import Match
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.scoring.bootstrap import (
    DEFAULT_NUM_RESAMPLES,
    Difference,
    Measured,
    compare,
    intervals,
)
from instruct_mner.scoring.counts import Average, Tally
from instruct_mner.scoring.foreign_types import note_on_types
from instruct_mner.scoring.origin import Origin
from instruct_mner.scoring.per_post import EntitiesPerPost
from instruct_mner.scoring.spans import RejectedRates, score_spans
from instruct_mner.scoring.triples import IOU_THRESHOLD, score_triples, why_not_grounded


@dataclass(frozen=True)
class Gold:
    """Gold that predictions are scored against.

    Attributes:
        name: The file or data set, as the user named it.
        sha256: Hash of its content, hexadecimal.
        decode: Decoding of BIO tags to spans.
        num_posts: Number of posts.
        known: Name of the published set that it is.
    """

    name: str
    sha256: str
    decode: str
    num_posts: int
    known: str | None = None


@dataclass(frozen=True)
class Comparison:
    """A second system beside the first, on the same posts.

    Attributes:
        report: Report of the second system.
        differences: Second less first, for each F1 that both have, by name.
    """

    report: Report
    differences: dict[str, Difference]


@dataclass(frozen=True)
class Report:
    """Everything measured of one prediction file.

    Attributes:
        gold: Gold that was scored against.
        predicted: Name of the prediction file.
        match: Condition under which an entity was right; triples are always matched by offset.
        seed: Seed of the bootstrap.
        num_resamples: Number of resamples of the bootstrap.
        micro: Typed micro score, the main one.
        macro: Mean over types.
        weighted: Mean over types, weighted by support.
        per_type: Label to score, in label order.
        span_only: Micro score with types ignored.
        rejected: Items that the parser rejected.
        entities_per_post: Numbers of gold and of predicted entities.
        triples: Names of :class:`~.triples.TripleScores` to scores; ``None`` where not grounded.
        not_grounded: Reason why triples were not scored; ``None`` where they were.
        notes: Further lines on what is odd in the predictions.
        comparison: Comparison with a second system, if one was given.
        origin: Training data of the model, where its run was given.
    """

    gold: Gold
    predicted: str
    match: Match
    seed: int
    num_resamples: int
    micro: Measured
    macro: Average
    weighted: Average
    per_type: dict[str, Measured]
    span_only: Measured
    rejected: RejectedRates
    entities_per_post: EntitiesPerPost
    triples: dict[str, Measured] | None
    not_grounded: str | None
    notes: tuple[str, ...] = ()
    comparison: Comparison | None = None
    origin: Origin | None = None

    @property
    def not_visible_baseline(self) -> float:
        """GMNER F1, in 0..1, of the gold's own spans and types with "not visible" everywhere.

        As many are predicted as are gold, so precision, recall and F1 are all the share of gold without a box.
        """
        triples = self.triples or {}
        num_gold = triples["gmner"].score.gold if triples else 0
        return triples["invisible"].score.gold / num_gold if num_gold else 0.0

    def to_dict(self) -> dict[str, Any]:
        """As one JSON object; all shares are in 0..1."""
        return {
            "gold": asdict(self.gold),
            "predicted": self.predicted,
            "match": self.match,
            "bootstrap": {"seed": self.seed, "num_resamples": self.num_resamples},
            **self._scores(),
            "comparison": self.comparison
            and {
                "predicted": self.comparison.report.predicted,
                **self.comparison.report._scores(),
                "differences": {name: asdict(measured) for name, measured in self.comparison.differences.items()},
            },
        }

    def _scores(self) -> dict[str, Any]:
        rejected = {
            name: {"count": count, "rate": self.rejected.rate(count)} for name, count in self.rejected.counts().items()
        }
        triples: dict[str, Any] | None = None
        if self.triples is not None:
            triples = {name: measured.to_dict() for name, measured in self.triples.items()}
            triples["iou_threshold"] = IOU_THRESHOLD
            triples["not_visible_baseline"] = self.not_visible_baseline
        return {
            "origin": self.origin and self.origin.to_dict(),
            "micro": self.micro.to_dict(),
            "macro": asdict(self.macro),
            "weighted": asdict(self.weighted),
            "per_type": {label: measured.to_dict() for label, measured in self.per_type.items()},
            "span_only": self.span_only.to_dict(),
            "rejected": rejected,
            "entities_per_post": asdict(self.entities_per_post),
            "triples": triples,
            "not_grounded": self.not_grounded,
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class System:
    """A system's report, and the counts behind its scores.

    Attributes:
        report: Report of the system.
        tallies: Counts of each post, by the name of their score.
    """

    report: Report
    tallies: dict[str, Tally]


def measure_system(
    gold: Gold, posts: Sequence[Example], predicted: Sequence[Prediction], name: str,
    *, match: Match, labels: Sequence[str] | None, seed: int, num_resamples: int,
) -> System:  # fmt: skip
    """Score a system; arguments are those of :func:`evaluate`.

    Raises:
        DataError: Gold and predictions are not of the same posts; the message begins with the name.
    """
    try:
        return _measured(
            gold, posts, predicted, name, match=match, labels=labels, seed=seed, num_resamples=num_resamples
        )
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def _measured(
    gold: Gold, posts: Sequence[Example], predicted: Sequence[Prediction], name: str,
    *, match: Match, labels: Sequence[str] | None, seed: int, num_resamples: int,
) -> System:  # fmt: skip
    spans = score_spans(posts, predicted, match=match, labels=labels)
    not_grounded = why_not_grounded(posts, predicted)
    grounded = {} if not_grounded else vars(score_triples(posts, predicted))
    tallies = {
        "micro": spans.micro,
        "span_only": spans.span_only,
        **{f"per_type.{label}": tally for label, tally in spans.per_type.items()},
        **{f"triples.{part}": tally for part, tally in grounded.items()},
    }
    spread = intervals(list(tallies.values()), seed=seed, num_resamples=num_resamples)
    measured = {
        key: Measured(tally.score, interval) for (key, tally), interval in zip(tallies.items(), spread, strict=True)
    }
    report = Report(
        gold=gold,
        predicted=name,
        match=match,
        seed=seed,
        num_resamples=num_resamples,
        micro=measured["micro"],
        macro=spans.macro,
        weighted=spans.weighted,
        per_type={label: measured[f"per_type.{label}"] for label in spans.per_type},
        span_only=measured["span_only"],
        rejected=spans.rejected,
        entities_per_post=EntitiesPerPost.of(spans.micro),
        triples=None if not_grounded else {part: measured[f"triples.{part}"] for part in grounded},
        not_grounded=not_grounded,
        notes=() if (note := note_on_types(posts, predicted)) is None else (note,),
    )
    return System(report, tallies)


def evaluate(
    gold: Gold,
    posts: Sequence[Example],
    predicted: tuple[str, Sequence[Prediction]],
    compared: tuple[str, Sequence[Prediction]] | None = None,
    *,
    match: Match = "offset",
    labels: Sequence[str] | None = None,
    seed: int = 0,
    num_resamples: int = DEFAULT_NUM_RESAMPLES,
) -> Report:
    """Score one system, or compare two by a paired bootstrap.

    Args:
        gold: Stamp of the gold.
        posts: The gold.
        predicted: Name and predictions of the system.
        compared: Those of a second one.
        match: Condition under which an entity is right.
        labels: Order of the types.
        seed: Seed of the bootstrap.
        num_resamples: Draws of posts.

    Raises:
        DataError: Gold and predictions are not of the same posts.
    """

    def measure(name: str, predictions: Sequence[Prediction]) -> System:
        return measure_system(
            gold, posts, predictions, name, match=match, labels=labels, seed=seed, num_resamples=num_resamples
        )

    first = measure(*predicted)
    if compared is None:
        return first.report
    second = measure(*compared)
    found = differences(first, second, seed=seed, num_resamples=num_resamples)
    return replace(first.report, comparison=Comparison(second.report, found))


def differences(first: System, second: System, *, seed: int, num_resamples: int) -> dict[str, Difference]:
    """Return the F1 of a second system less that of the first, for each score that both have, by its name.

    Args:
        first: First system.
        second: Second system, on the same posts.
        seed: Seed of the bootstrap.
        num_resamples: Draws of posts.
    """
    shared = [key for key in first.tallies if key in second.tallies]
    found = compare(
        [first.tallies[key] for key in shared],
        [second.tallies[key] for key in shared],
        seed=seed,
        num_resamples=num_resamples,
    )
    return dict(zip(shared, found, strict=True))
