"""Checks of a split as a whole: gold that no answer can say, boxes that are no pixels, types that differ in case."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from instruct_mner.data.dataset import Dataset
from instruct_mner.schema.offsets import can_say

_FIRST = 3


@dataclass(frozen=True)
class GoldChecks:
    """What is wrong or odd in the gold of a split.

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


def check_gold(dataset: Dataset) -> GoldChecks:
    """Check the gold of a split."""
    num_mentions, num_unsayable, first = 0, 0, list[str]()
    num_boxes, num_shares, shares = 0, 0, ""
    for example in dataset.examples:
        for entity in example.entities or ():
            num_mentions += 1
            if not can_say(example.text, entity.start, entity.end, dataset.segmentation):
                num_unsayable += 1
                if len(first) < _FIRST:
                    around = example.text[max(0, entity.start - 12) : entity.end + 12]
                    first.append(f"post {example.id!r} {entity.start}:{entity.end} {entity.text!r} in {around!r}")
            for box in entity.boxes or ():
                num_boxes += 1
                if max(box.box) <= 1:
                    num_shares += 1
                    shares = shares or f"{list(box.box)} of {entity.text!r} in post {example.id!r}"
    problems = []
    if num_shares:
        problems.append(
            f"{dataset.path}: {num_shares} of {num_boxes} boxes lie in 0..1, the first is {shares}: boxes are "
            "pixels of the original picture; multiply them by its width and height"
        )
    unsayable = None
    if num_unsayable:
        unsayable = (
            f"{dataset.path}: {num_unsayable} of {num_mentions} gold mentions can be said by no answer, because they "
            f"cut a word, have a space at an edge, or hold no letter or digit: {'; '.join(first)}"
        )
        if 2 * num_unsayable > num_mentions:
            remedy = "are the offsets those of tokens or bytes, or is the end that of the last character? Mend them"
            problems.append(f"{unsayable}; {remedy}")
            unsayable = None
    return GoldChecks(tuple(problems), unsayable, _labels_that_differ_in_case(dataset), num_unsayable)


def _labels_that_differ_in_case(dataset: Dataset) -> tuple[str, ...]:
    counts = Counter(entity.label for example in dataset.examples for entity in example.entities or ())
    spellings: defaultdict[str, list[str]] = defaultdict(list)
    for label in sorted(counts):
        spellings[label.casefold()].append(label)
    return tuple(
        f"{dataset.path}: types that differ in case alone are different types: "
        + ", ".join(f"{label} ({counts[label]} mentions)" for label in labels)
        for labels in spellings.values()
        if len(labels) > 1
    )
