"""Occurrences, counted while an answer is written: no mention is written more often than it is in the text."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from instruct_mner.answers.lines import Lines
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.answers.syntax import nameable
from instruct_mner.schema.offsets import chunks, place

# Spans of more units are not looked at one by one: there are as many as the square of this number.
_MOST_UNITS = 8
# More spans than these are not looked at: the work would grow with their number and the length of the text.
_MOST_SPANS = 4_096
# Grammar behind an answer that has named all there is: the end of the turn.
_NOTHING = '%llguidance {}\nstart: ""\n'


@dataclass(frozen=True)
class RestOfLines:
    """Grammar of the lines that may follow other lines.

    A grammar cannot count. So it is made anew behind each line: with what is left of the text when the written mentions
    are taken out, and without the mentions that would take the place of a written one. Where that would take too long,
    the grammar stays: what is written too often is dropped by the parser, and counted as unplaceable.

    Attributes:
        spec: The specification of the answer, in lines.
        text: The text as shown to the model.
        num_images: Number of pictures of the post.
    """

    spec: AnswerSpec
    text: str
    num_images: int

    def __call__(self, written: str) -> str | None:
        """Return the grammar behind whole lines; ``None`` where that of the answer itself need not be changed.

        Args:
            written: The answer so far, up to the end of a line.
        """
        form = Lines(self.spec, self.num_images)
        mentions, malformed = form.read(written, finished=True)
        surfaces = [mention.surface for mention in mentions]
        left = self.spec.capacity(self.text) - len(surfaces)
        if malformed or not surfaces or place(self.text, surfaces, self.spec.segmentation).unplaceable:
            return None  # Not of an answer that was counted.
        free = self.free(surfaces)
        if left < 1 or not nameable(free) or not self._has_more(surfaces):
            return _NOTHING
        used = self.used_up(surfaces)
        if used is None:
            return None
        rules = form.grammar(free).split("\n")
        further = f' ("\\n" entity){{0,{left - 1}}}' if left > 1 else ""
        changed = [
            f"start: entity{further}" if rule.startswith("start:") else _excluding(rule, used)
            for rule in rules
        ]  # fmt: skip
        return "\n".join(changed)

    def free(self, surfaces: Sequence[str]) -> str:
        """Return the text with line breaks, which no mention holds, in the place of the written mentions.

        A mention that is written once and stands twice is taken out of the first place, and in a second copy of the
        text out of the last: ``Paris``, written first, leaves ``Paris Hilton``.
        """
        first = self._without(surfaces, place(self.text, surfaces, self.spec.segmentation).starts)
        turned = place(self.text[::-1], [each[::-1] for each in surfaces], self.spec.segmentation).starts
        ends = [None if start is None else len(self.text) - start for start in turned]
        starts = [None if end is None else end - len(each) for end, each in zip(ends, surfaces, strict=True)]
        last = self._without(surfaces, starts)
        return first if first == last else f"{first}\n{last}"

    def used_up(self, surfaces: Sequence[str]) -> list[str] | None:
        """Return what may not be written too: spans on written mentions that leave one of them without a place.

        ``None`` where there are too many spans to look at.
        """
        candidates: set[str] = set()
        for surface in set(surfaces):
            if self._is_plentiful(surface, surfaces):
                continue
            for span in self._spans_on(surface):
                candidates.add(span)
                if len(candidates) > _MOST_SPANS:
                    return None
        return sorted(each for each in candidates if not self._fits(surfaces, each))

    def _is_plentiful(self, surface: str, surfaces: Sequence[str]) -> bool:
        """Return true where a mention has a place left whatever else is written: all others cannot cover them all.

        A span of so many characters touches no more occurrences than it and the mention have characters.
        """
        longest = self._longest_span
        touched = sum(len(each) + len(surface) for each in surfaces) + longest + len(surface)
        return self.text.count(surface) > touched

    def _without(self, surfaces: Sequence[str], starts: Sequence[int | None]) -> str:
        """Return the text with line breaks for each unit that a mention holds a part of."""
        characters = list(self.text)
        for surface, start in zip(surfaces, starts, strict=True):
            if start is not None:
                first, last = self._units(start, start + len(surface))
                begin, end = self._edges[first], self._edges[last]
                characters[begin:end] = "\n" * (end - begin)
        return "".join(characters)

    def _units(self, start: int, end: int) -> tuple[int, int]:
        """Return the first unit that a span holds a part of, and one past the last."""
        return bisect_right(self._edges, start) - 1, bisect_left(self._edges, end)

    def _spans_on(self, surface: str) -> Iterator[str]:
        """Yield the surfaces of the spans of the text that share characters with an occurrence of a surface."""
        start = self.text.find(surface)
        while start >= 0:
            first, last = self._units(start, start + len(surface))
            for left in range(max(0, first - _MOST_UNITS + 1), last):
                for right in range(max(left, first) + 1, min(left + _MOST_UNITS, len(self._edges) - 1) + 1):
                    span = self.text[self._edges[left] : self._edges[right]]
                    if span == span.strip() and any(character.isalnum() for character in span):
                        yield span
            start = self.text.find(surface, start + 1)

    @cached_property
    def _edges(self) -> list[int]:
        units = list(self.text) if self.spec.segmentation == "characters" else chunks(self.text)
        return [0, *accumulate(map(len, units))]

    @cached_property
    def _longest_span(self) -> int:
        """Number of characters of the longest span that is looked at."""
        edges = self._edges
        return max(edges[min(first + _MOST_UNITS, len(edges) - 1)] - edges[first] for first in range(len(edges)))

    def _fits(self, surfaces: Sequence[str], another: str) -> bool:
        placement = place(self.text, [*surfaces, another], self.spec.segmentation)
        return not placement.unplaceable and not placement.hallucinated

    def _has_more(self, surfaces: Sequence[str]) -> bool:
        """Return true where a unit of the text can still be named: else no line can follow at all."""
        units = set(self.text) if self.spec.segmentation == "characters" else set(chunks(self.text))
        return any(self._fits(surfaces, unit) for unit in units if any(map(str.isalnum, unit)) and unit == unit.strip())


def _excluding(rule: str, used: Sequence[str]) -> str:
    """Return the rule of mentions without some of them, as one negation; other rules are returned as they are."""
    if not used or not rule.startswith("MENTION:"):
        return rule
    head, separator, conditions = rule.partition("~/")
    assert separator, rule
    alternatives = "|".join(_escaped(each) for each in used)
    return f"{head}~/{alternatives}|{conditions}"


def _escaped(text: str) -> str:
    """Escape a text for a regular expression between slashes."""
    return re.sub(r"[^\w\s]|_", lambda match: f"\\x{{{ord(match.group()):x}}}", text)
