"""Checks of a split as a whole: gold that no answer can say, boxes that are no pixels, types that differ in case."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass

from instruct_mner.data.dataset import Dataset
from instruct_mner.data.tag_schemes import why_no_type
from instruct_mner.schema.choices import Segmentation
from instruct_mner.schema.labels import folded_label
from instruct_mner.schema.offsets import can_say
from instruct_mner.schema.records import Example

_FIRST = 3
_SHARE_OF_PIECES = 0.02
_JOINED = re.compile(r"[+&/@#~]")
_SPECIAL = frozenset({"[CLS]", "[SEP]", "[PAD]", "[UNK]", "<s>", "</s>", "<pad>"})


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
        self._pieces: Counter[str] = Counter()
        self._num_tokens = 0

    def look_at(self, example: Example, segmentation: Segmentation) -> None:
        """Check a post."""
        text = example.text
        self._num_tokens += len(example.tokens or ())
        self._pieces.update(kind for token in example.tokens or () if (kind := _piece(token)) is not None)
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
        problems += [*self._wrong_labels(), *self._labels_with_numbers()]
        kind, number = max(self._pieces.items(), key=lambda item: item[1], default=("", 0))
        if _SHARE_OF_PIECES * self._num_tokens < number:
            problems.append(
                f"{self._source}: {number} of {self._num_tokens} tokens are pieces of a model's vocabulary ({kind!r}), "
                "which would stand in the text; join them to words, with the tag of the first piece"
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
        notes = (*self._labels_that_are_spelled_alike(), *self._labels_of_two())
        return GoldChecks(tuple(problems), unsayable, notes, self._num_unsayable)

    def _wrong_labels(self) -> list[str]:
        """Return the problems of labels that are those of tokens: ``O``, and ``B-PER`` beside ``I-PER``."""
        tags = sorted(
            label for label in self._labels if f"{'I' if label[0] == 'B' else 'B'}-{label[2:]}" in self._labels
        )
        tags = [label for label in tags if label[:2] in {"B-", "I-"}]
        wrong = ["O"] if "O" in self._labels else tags
        if not wrong:
            return []
        return [
            f"{self._source}: {sum(self._labels[label] for label in wrong)} mentions have the tag of a token as their "
            f"type ({', '.join(wrong[:2])}); join the tokens of a mention, and take out what is none"
        ]

    def _labels_with_numbers(self) -> list[str]:
        """Return the problem of types with a confidence behind them, each of which would be a type of its own."""
        wrong = {label: reason for label in sorted(self._labels) if (reason := why_no_type(label)) is not None}
        if not wrong:
            return []
        [(first, reason), *_] = wrong.items()
        number = sum(self._labels[label] for label in wrong)
        return [f"{self._source}: {number} mentions have no type, the first is {first!r}: {reason}"]

    def _labels_that_are_spelled_alike(self) -> tuple[str, ...]:
        spellings: defaultdict[str, list[str]] = defaultdict(list)
        for label in sorted(self._labels):
            spellings[folded_label(label)].append(label)
        return tuple(
            f"{self._source}: types that differ in {_difference(labels)} alone are different types: "
            + ", ".join(f"{label} ({self._labels[label]} mentions)" for label in labels)
            for labels in spellings.values()
            if len(labels) > 1
        )

    def _labels_of_two(self) -> tuple[str, ...]:
        """Name types that are two other types in one: ``PER/ORG`` beside ``PER`` and ``ORG``."""
        joined = [label for label in sorted(self._labels) if len(parts := _JOINED.split(label)) > 1
                  and all(part in self._labels for part in parts)]  # fmt: skip
        if not joined:
            return ()
        return (f"{self._source}: types that join two others are read as types of their own: {', '.join(joined)}",)


def _piece(token: str) -> str | None:
    """Return the sign by which a token is a piece of a model's vocabulary; ``None`` for a word."""
    if token in _SPECIAL:
        return token
    return next((sign for sign in ("##", "\u2581", "\u0120") if token.startswith(sign) and token != sign), None)


def _difference(labels: list[str]) -> str:
    return "case" if len({label.casefold() for label in labels}) == 1 else "case, spaces or spelling"


def check_gold(dataset: Dataset) -> GoldChecks:
    """Check the gold of a split."""
    check = GoldCheck(str(dataset.path))
    for example in dataset.examples:
        check.look_at(example, dataset.segmentation)
    return check.result()
