"""Numbers of one prediction file that stand on the page beside the scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from instruct_mner.schema.records import Example, Prediction
from instruct_mner.scoring.calibration import Reliability, judge, measure
from instruct_mner.scoring.outcomes import EntityPair, Outcome, pair_entities
from instruct_mner.scoring.report import Report
from instruct_mner.scoring.seen import SeenRecall, seen_recall


@dataclass(frozen=True, kw_only=True)
class RegionCounts:
    """Boxes against the gold, of entities whose place in the text is right.

    Attributes:
        invented: Entities with a box that are not visible.
        overlooked: Visible entities without a box.
        placed: Entities whose place in the text is right.
    """

    invented: int
    overlooked: int
    placed: int


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """Everything that the page says of one prediction file.

    Attributes:
        name: Name on the page.
        report: Scores with their intervals.
        pairs: Gold and predicted entities of each post, in pairs.
        outcomes: Number of each outcome.
        confusion: Number of pairs by gold type and predicted type; ``None`` where an entity has no counterpart.
        reliability: Confidences against the share that is right; ``None`` where all confidences are equal.
        seen: Recall of mentions that the training data hold, and of others; ``None`` without training data.
        regions: Boxes against the gold; ``None`` where either side has no boxes.
    """

    name: str
    report: Report
    pairs: tuple[tuple[EntityPair, ...], ...]
    outcomes: Counter[Outcome]
    confusion: Counter[tuple[str | None, str | None]]
    reliability: Reliability | None
    seen: SeenRecall | None
    regions: RegionCounts | None


def summarize(
    name: str,
    report: Report,
    pairs: Sequence[tuple[Example, Prediction]],
    train: Sequence[Example] | None,
    *,
    seed: int,
    num_resamples: int,
) -> RunSummary:
    """Return the numbers of one prediction file.

    Args:
        name: Name on the page.
        report: Scores of the file.
        pairs: Posts with their predictions.
        train: Training data of the model, where they were given.
        seed: Seed of the bootstrap.
        num_resamples: Number of resamples.
    """
    paired = tuple(tuple(pair_entities(post.gold, predicted.entities)) for post, predicted in pairs)
    every = [pair for post in paired for pair in post]
    judged = judge(pairs)
    uncertain = len(set(judged.scores.tolist())) > 1
    return RunSummary(
        name=name,
        report=report,
        pairs=paired,
        outcomes=Counter(pair.outcome for pair in every),
        confusion=Counter(
            (pair.gold.label if pair.gold else None, pair.predicted.label if pair.predicted else None) for pair in every
        ),
        reliability=measure(judged, seed=seed, num_resamples=num_resamples) if uncertain else None,
        seen=None if train is None else seen_recall(train, pairs),
        regions=None if report.not_grounded else _regions(every),
    )


def _regions(pairs: Sequence[EntityPair]) -> RegionCounts:
    placed = [pair for pair in pairs if pair.outcome in {Outcome.RIGHT, Outcome.TYPE}]
    boxes = [(pair.gold and pair.gold.boxes, pair.predicted and pair.predicted.boxes) for pair in placed]
    return RegionCounts(
        invented=sum(bool(predicted) and not gold for gold, predicted in boxes),
        overlooked=sum(bool(gold) and not predicted for gold, predicted in boxes),
        placed=len(placed),
    )
