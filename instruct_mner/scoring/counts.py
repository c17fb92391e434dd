"""The counting core: what was predicted against what is right, post by post, and the scores of the sums.

Counts are kept by post, so that the bootstrap resamples posts by adding counts, never by scoring again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


@dataclass(frozen=True)
class Score:
    """Precision, recall and F1 of counts, each in 0..1; 0 where the divisor is 0, as in seqeval.

    So a set without any gold entity scores 0 even when, rightly, nothing is predicted.

    Source: F1 = 2PR/(P+R) = 2·correct/(predicted + gold), van Rijsbergen, Information Retrieval, 1979, ch. 7.

    Attributes:
        correct: True positives.
        predicted: True and false positives.
        gold: True positives and false negatives; the support.
    """

    correct: int
    predicted: int
    gold: int

    @property
    def precision(self) -> float:
        """Share of the predicted that is right."""
        return _ratio(self.correct, self.predicted)

    @property
    def recall(self) -> float:
        """Share of the gold that is found."""
        return _ratio(self.correct, self.gold)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return _ratio(2 * self.correct, self.predicted + self.gold)


@dataclass(frozen=True)
class Average:
    """Mean over types of precision, recall and F1, each in 0..1."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, eq=False)
class Tally:
    """Counts of each post; their sum is the micro score.

    Attributes:
        correct: ``(posts,)``, as in :class:`Score`.
        predicted: ``(posts,)``.
        gold: ``(posts,)``.
    """

    correct: IntArray
    predicted: IntArray
    gold: IntArray

    @property
    def score(self) -> Score:
        """The score of all posts together."""
        return Score(int(self.correct.sum()), int(self.predicted.sum()), int(self.gold.sum()))


@dataclass(frozen=True, eq=False)
class Items:
    """Items to be matched, as parallel arrays ``(items,)``.

    Attributes:
        post: Index of the post.
        key: Number of a place (or surface) in a post: equal exactly where post and place are equal.
        label: Index of the type.
    """

    post: IntArray
    key: IntArray
    label: IntArray

    def without_labels(self) -> Items:
        """Return the same places, all of one type."""
        return Items(self.post, self.key, np.zeros_like(self.label))


@dataclass(frozen=True, eq=False)
class _Table:
    """Distinct (key, label) codes, the (post, label) cell each belongs to, and how often each occurs."""

    codes: IntArray
    cells: IntArray
    times: IntArray


def _tabulate(items: Items, num_labels: int, distinct: bool) -> _Table:
    codes, first, times = np.unique(items.key * num_labels + items.label, return_index=True, return_counts=True)
    cells = items.post[first] * num_labels + items.label[first]
    return _Table(codes, cells, np.ones_like(times) if distinct else times)


def count_matches(gold: Items, predicted: Items, *, num_posts: int, num_labels: int, distinct: bool = False) -> Tally:
    """Return counts by post and label.

    Items are matched one to one: a place predicted twice and gold once is right once and wrong once.

    Args:
        gold: Items of the gold.
        predicted: Predicted items; the same numbering of posts, keys and labels.
        num_posts: Number of posts.
        num_labels: Number of labels.
        distinct: Count items that are equal in key and label once.

    Returns:
        Counts of shape ``(posts, labels)``.
    """
    of_gold = _tabulate(gold, num_labels, distinct)
    of_predicted = _tabulate(predicted, num_labels, distinct)
    _, in_gold, in_predicted = np.intersect1d(
        of_gold.codes, of_predicted.codes, assume_unique=True, return_indices=True
    )

    def by_cell(cells: IntArray, times: IntArray) -> IntArray:
        counts = np.zeros(num_posts * num_labels, dtype=np.int64)
        np.add.at(counts, cells, times)
        return counts.reshape(num_posts, num_labels)

    return Tally(
        correct=by_cell(of_gold.cells[in_gold], np.minimum(of_gold.times[in_gold], of_predicted.times[in_predicted])),
        predicted=by_cell(of_predicted.cells, of_predicted.times),
        gold=by_cell(of_gold.cells, of_gold.times),
    )


def total(table: Tally, *, rejected: IntArray | None = None) -> Tally:
    """Sum a ``(posts, labels)`` table over labels; ``rejected``, ``(posts,)``, are false positives too."""
    predicted = table.predicted.sum(axis=1)
    return Tally(
        correct=table.correct.sum(axis=1),
        predicted=predicted if rejected is None else predicted + rejected,
        gold=table.gold.sum(axis=1),
    )


def by_label(table: Tally, labels: tuple[str, ...]) -> dict[str, Tally]:
    """Split a ``(posts, labels)`` table into a tally a label, in order, without labels of nothing."""
    columns = {
        label: Tally(table.correct[:, index], table.predicted[:, index], table.gold[:, index])
        for index, label in enumerate(labels)
    }
    return {label: tally for label, tally in columns.items() if tally.gold.any() or tally.predicted.any()}


def average(scores: Mapping[str, Score], *, weighted: bool) -> Average:
    """Mean of the scores of types, each type weighing the same, or as much as its support.

    Source: scikit-learn's and seqeval's ``average='macro'`` and ``average='weighted'``; types that are
    only predicted count as types too, with F1 0 and support 0.
    """
    weights = [score.gold if weighted else 1 for score in scores.values()]
    whole = sum(weights)

    def mean(values: list[float]) -> float:
        return _ratio(sum(weight * value for weight, value in zip(weights, values, strict=True)), whole)

    return Average(
        precision=mean([score.precision for score in scores.values()]),
        recall=mean([score.recall for score in scores.values()]),
        f1=mean([score.f1 for score in scores.values()]),
    )
