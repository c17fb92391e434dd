"""Scores of spans with types: micro, per type, span-only, and what the parser had to reject."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from instruct_mner.errors import DataError, listing
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


def _named(what: str, ids: Iterable[str], *, most: int = 5) -> list[str]:
    names = list(ids)
    if not names:
        return []
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return [f"{len(names)} {what}: {', '.join(map(repr, names[:most]))}{more}"]


def pair_posts(gold: Sequence[Example], predicted: Sequence[Prediction]) -> list[tuple[Example, Prediction]]:
    """Find the prediction of each gold post by id; the order is that of the gold.

    Raises:
        DataError: Ids are missing, unknown or given twice, texts differ, or posts hold no gold; the message
            counts each and names the first ones.
    """
    gold_ids = Counter(example.id for example in gold)
    predicted_ids = Counter(prediction.id for prediction in predicted)
    by_id = {prediction.id: prediction for prediction in predicted}
    differ = [post.id for post in gold if post.id in by_id and by_id[post.id].text != post.text]
    problems = [
        *_named("gold post(s) whose id is given twice", (key for key, n in gold_ids.items() if n > 1)),
        *_named("gold post(s) without 'entities'", (post.id for post in gold if post.entities is None)),
        *_named("predicted post(s) whose id is given twice", (k for k, n in predicted_ids.items() if n > 1)),
        *_named("gold post(s) without a prediction", (key for key in gold_ids if key not in by_id)),
        *_named("predicted post(s) that gold does not have", (k for k in predicted_ids if k not in gold_ids)),
        *_named("post(s) whose predicted text is not the gold text", differ),
    ]
    if problems:
        raise DataError(
            "gold and predictions are not of the same posts; predict every post of the gold file once, "
            f"with its id and text unchanged:\n{listing(problems)}"
        )
    return [(example, by_id[example.id]) for example in gold]


class _Numbering:
    """Numbers posts' places and labels alike for gold and predictions."""

    def __init__(self, match: Match, labels: Sequence[str]) -> None:
        self._match = match
        self._keys: dict[tuple[int, str | tuple[int, int]], int] = {}
        self._labels = {label: index for index, label in enumerate(labels)}

    def _place(self, entity: Entity) -> str | tuple[int, int]:
        if self._match == "offset":
            return entity.start, entity.end
        return entity.text if self._match == "surface" else entity.text.lower()

    def items(self, posts: Iterable[Sequence[Entity]]) -> Items:
        """Return the entities of all posts as items."""
        rows = [
            (post, self._keys.setdefault((post, self._place(entity)), len(self._keys)), entity.label)
            for post, entities in enumerate(posts)
            for entity in entities
        ]
        table = np.array([(post, key, self._labels[label]) for post, key, label in rows], dtype=np.int64).reshape(-1, 3)
        return Items(table[:, 0], table[:, 1], table[:, 2])


def _label_order(pairs: Sequence[tuple[Example, Prediction]], labels: Sequence[str] | None) -> tuple[str, ...]:
    names = {entity.label for post, prediction in pairs for entity in (*post.gold, *prediction.entities)}
    first = tuple(labels or ())
    return (*first, *sorted(names.difference(first)))


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
    pairs = pair_posts(gold, predicted)
    names = _label_order(pairs, labels)
    numbering = _Numbering(match, names)
    counts = [
        (prediction.rejected.malformed, prediction.rejected.hallucinated, prediction.rejected.unplaceable)
        for _, prediction in pairs
    ]
    return span_scores(
        numbering.items([post.gold for post, _ in pairs]),
        numbering.items([prediction.entities for _, prediction in pairs]),
        ids=tuple(post.id for post, _ in pairs),
        labels=names,
        match=match,
        rejected=np.array(counts, dtype=np.int64).reshape(-1, 3),
    )
