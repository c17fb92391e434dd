"""Scores of spans with types: micro, per type, span-only, and what the parser had to reject."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from instruct_mner.schema.choices import Match
from instruct_mner.schema.records import Entity, Example, Prediction
from instruct_mner.scoring.counts import (
    Average,
    IntArray,
    Items,
    Score,
    Tally,
    average,
    by_label,
    count_matches,
    total,
)
from instruct_mner.scoring.pairing import pair_posts


@dataclass(frozen=True)
class RejectedRates:
    """Items of completions that are no entities; all of them are false positives.

    Attributes:
        malformed: Lines that are not an answer.
        hallucinated: Surfaces that are not in the text.
        unplaceable: Surfaces with no free occurrence left.
        entities: Predicted entities that stand in the text.
    """

    malformed: int
    hallucinated: int
    unplaceable: int
    entities: int

    @property
    def total(self) -> int:
        """All rejected items."""
        return self.malformed + self.hallucinated + self.unplaceable

    def counts(self) -> dict[str, int]:
        """Return the rejected items by kind."""
        return {
            "malformed": self.malformed,
            "hallucinated": self.hallucinated,
            "unplaceable": self.unplaceable,
        }

    def rate(self, count: int) -> float:
        """Return ``count`` per predicted item (entities and rejected), in 0..1; 0 where nothing was predicted."""
        items = self.entities + self.total
        return count / items if items else 0.0


@dataclass(frozen=True, eq=False)
class SpanScores:
    """Scores of spans, with the counts of each post.

    Attributes:
        ids: Ids of the posts, in the order of the gold.
        match: Condition under which an entity was right.
        micro: Typed; rejected items are among ``predicted``.
        span_only: The same with types ignored.
        per_type: Label to counts, of the labels that an entity bears. Rejected items have no type: summed
            over types, ``predicted`` is that of ``micro`` less the rejected ones, while ``correct`` and
            ``gold`` are those of ``micro``.
        rejected: Items that the parser rejected.
    """

    ids: tuple[str, ...]
    match: Match
    micro: Tally
    span_only: Tally
    per_type: dict[str, Tally]
    rejected: RejectedRates

    @cached_property
    def type_scores(self) -> dict[str, Score]:
        """Label to score."""
        return {label: tally.score for label, tally in self.per_type.items()}

    @property
    def macro(self) -> Average:
        """Mean over types."""
        return average(self.type_scores, weighted=False)

    @property
    def weighted(self) -> Average:
        """Mean over types, weighted by support."""
        return average(self.type_scores, weighted=True)


class _Numbering:
    """Numbers of places and labels, alike for gold and predictions.

    Args:
        match: Condition under which an entity is right.
        labels: Order of the labels; those that are not named follow, sorted.
    """

    def __init__(self, match: Match, labels: Sequence[str]) -> None:
        self._match = match
        self._first = tuple(labels)
        self._labels: dict[str, int] = {}
        self._num_keys = self._num_posts = 0
        # Post, key and label of each item.
        self._gold, self._predicted = array("q"), array("q")

    def add(self, post: Example, prediction: Prediction) -> None:
        """Add the next post, with its prediction."""
        keys: dict[str | tuple[int, int], int] = {}
        sides: tuple[tuple[array[int], Sequence[Entity]], ...] = (
            (self._gold, post.gold),
            (self._predicted, prediction.entities),
        )
        for items, entities in sides:
            for entity in entities:
                key = self._num_keys + keys.setdefault(self._place(entity), len(keys))
                items.extend((self._num_posts, key, self._labels.setdefault(entity.label, len(self._labels))))
        self._num_keys += len(keys)
        self._num_posts += 1

    def _place(self, entity: Entity) -> str | tuple[int, int]:
        if self._match == "offset":
            return entity.start, entity.end
        return entity.text if self._match == "surface" else entity.text.lower()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the labels, in their order."""
        return (*self._first, *sorted(set(self._labels).difference(self._first)))

    def items(self) -> tuple[Items, Items]:
        """Return the items of the gold and those of the predictions."""
        names = self.names
        order = np.array([names.index(label) for label in self._labels], dtype=np.int64)
        tables = [np.array(rows, dtype=np.int64).reshape(-1, 3) for rows in (self._gold, self._predicted)]
        gold, predicted = (
            Items(table[:, 0], table[:, 1], order[table[:, 2]] if len(table) else table[:, 2]) for table in tables
        )
        return gold, predicted


def span_scores(
    gold: Items,
    predicted: Items,
    *,
    ids: tuple[str, ...],
    labels: tuple[str, ...],
    match: Match = "offset",
    rejected: IntArray | None = None,
) -> SpanScores:
    """Score items; the common end of :func:`score_spans` and :func:`~.tags.score_tags`.

    Args:
        gold: Items of the gold.
        predicted: Predicted items.
        ids: Ids of the posts.
        labels: Names of the labels that items number.
        match: Condition under which keys were equal.
        rejected: ``(posts, 3)`` counts of malformed, hallucinated and unplaceable items.
    """
    distinct = match == "surface-lower-set"
    num_posts = len(ids)
    table = count_matches(gold, predicted, num_posts=num_posts, num_labels=max(len(labels), 1), distinct=distinct)
    untyped = count_matches(
        gold.without_labels(),
        predicted.without_labels(),
        num_posts=num_posts,
        num_labels=1,
        distinct=distinct,
    )
    if rejected is None:
        rejected = np.zeros((num_posts, 3), dtype=np.int64)
    malformed, hallucinated, unplaceable = (int(count) for count in rejected.sum(axis=0))
    return SpanScores(
        ids=ids,
        match=match,
        micro=total(table, rejected=rejected.sum(axis=1)),
        span_only=total(untyped, rejected=rejected.sum(axis=1)),
        per_type=by_label(table, labels),
        rejected=RejectedRates(malformed, hallucinated, unplaceable, entities=int(table.predicted.sum())),
    )


def score_spans(
    gold: Sequence[Example],
    predicted: Sequence[Prediction],
    *,
    match: Match = "offset",
    labels: Sequence[str] | None = None,
) -> SpanScores:
    """Score predicted entities against gold, posts matched by id.

    Args:
        gold: Annotated posts.
        predicted: One prediction a post, in any order.
        match: Condition under which an entity is right.
        labels: Order of the types in the result; types that are not named follow, sorted.

    Raises:
        DataError: Gold and predictions are not of the same posts.
    """
    numbering = _Numbering(match, labels or ())
    ids: list[str] = []
    rejected = array("q")
    for post, prediction in pair_posts(gold, predicted):
        numbering.add(post, prediction)
        ids.append(post.id)
        counts = prediction.rejected
        rejected.extend((counts.malformed, counts.hallucinated, counts.unplaceable))
    of_gold, of_predicted = numbering.items()
    return span_scores(
        of_gold,
        of_predicted,
        ids=tuple(ids),
        labels=numbering.names,
        match=match,
        rejected=np.array(rejected, dtype=np.int64).reshape(-1, 3),
    )
