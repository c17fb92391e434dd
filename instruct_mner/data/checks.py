"""Checks of a split as a whole: gold that no answer can say, boxes that are no pixels, types that differ in case."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from instruct_mner.data.dataset import Dataset
from instruct_mner.schema.choices import Segmentation
from instruct_mner.schema.offsets import can_say
from instruct_mner.schema.records import Example

_FIRST = 3


@dataclass(frozen=True)
class GoldChecks:
    """Findings in the gold of a split.

    Attributes:
        problems: Lines that keep the split from being used.
        unsayable: A line on the mentions that no answer can say, where there are any but not most of them.
        notes: Further lines for the user.
        num_unsayable: Mentions that no answer can say.
    """

    problems: tuple[str, ...] = ()
    unsayable: str | None = None
    notes: tuple[str, ...] = ()
    num_unsayable: int = 0

    def lines(self) -> tuple[str, ...]:
        """Return everything that is said and keeps nothing from being used."""
        return (self.unsayable, *self.notes) if self.unsayable is not None else self.notes


class GoldCheck:
    """A check of the gold of a split, post by post.

    Args:
        source: Name of the file, for messages.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._num_mentions = self._num_unsayable = self._num_boxes = self._num_shares = 0
        self._first: list[str] = []
        self._shares = ""
        self._labels: Counter[str] = Counter()

    def look_at(self, example: Example, segmentation: Segmentation) -> None:
        """Check a post."""
        text = example.text
        for entity in example.entities or ():
            self._num_mentions += 1
            self._labels[entity.label] += 1
            if not can_say(text, entity.start, entity.end, segmentation):
                self._num_unsayable += 1
                if len(self._first) < _FIRST:
                    around = text[max(0, entity.start - 12) : entity.end + 12]
                    case = f"post {example.id!r} {entity.start}:{entity.end} {entity.text!r} in {around!r}"
                    self._first.append(case)
            for box in entity.boxes or ():
                self._num_boxes += 1
                if max(box.box) <= 1:
                    self._num_shares += 1
                    self._shares = self._shares or f"{list(box.box)} of {entity.text!r} in post {example.id!r}"

    def result(self) -> GoldChecks:
        """Return everything that is wrong or odd in the posts so far."""
        problems = []
        if self._num_shares:
            problems.append(
                f"{self._source}: {self._num_shares} of {self._num_boxes} boxes lie in 0..1, the first is "
                f"{self._shares}: boxes are pixels of the original picture; multiply them by its width and height"
            )
        unsayable = None
        if self._num_unsayable:
            unsayable = (
                f"{self._source}: {self._num_unsayable} of {self._num_mentions} gold mentions can be said by no "
                "answer, because they cut a word, have a space at an edge, or hold no letter or digit: "
                f"{'; '.join(self._first)}"
            )
            if 2 * self._num_unsayable > self._num_mentions:
                remedy = "are the offsets those of tokens or bytes, or is the end that of the last character? Mend them"
                problems.append(f"{unsayable}; {remedy}")
                unsayable = None
        return GoldChecks(tuple(problems), unsayable, self._labels_that_differ_in_case(), self._num_unsayable)

    def _labels_that_differ_in_case(self) -> tuple[str, ...]:
        spellings: defaultdict[str, list[str]] = defaultdict(list)
        for label in sorted(self._labels):
            spellings[label.casefold()].append(label)
        return tuple(
            f"{self._source}: types that differ in case alone are different types: "
            + ", ".join(f"{label} ({self._labels[label]} mentions)" for label in labels)
            for labels in spellings.values()
            if len(labels) > 1
        )


def check_gold(dataset: Dataset) -> GoldChecks:
    """Check the gold of a split."""
    check = GoldCheck(str(dataset.path))
    for example in dataset.examples:
        check.look_at(example, dataset.segmentation)
    return check.result()
