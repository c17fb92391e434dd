"""Occurrences, counted while an answer is written: no mention is written more often than it is in the text."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain

from instruct_mner.answers.guide import Further
from instruct_mner.answers.json_array import Json
from instruct_mner.answers.lines import Lines
from instruct_mner.answers.spec import AnswerSpec, FormatName
from instruct_mner.answers.syntax import nameable
from instruct_mner.schema.offsets import chunks, place

# Spans of more units are not looked at one by one: there are as many as the square of this number.
_MOST_UNITS = 8
# More spans than these are not looked at: the work would grow with their number and the length of the text. Spans at
# several places may be the same.
_MOST_SPANS = 4_096
_MOST_PLACES = 16 * _MOST_SPANS
# Formats in which a mention may be written too often; inline, each stands in its place.
_COUNTED: Mapping[FormatName, type[Lines] | type[Json]] = {"lines": Lines, "json": Json}
# Characters for private use, of which nearly every text leaves some unused.
_PRIVATE = range(0xE000, 0xF900)


def rest_of_answer(spec: AnswerSpec, text: str, num_images: int) -> RestOfAnswer | None:
    """Return the grammars behind the entities of an answer; ``None`` where nothing can be written too often."""
    return RestOfAnswer(spec, text, num_images) if spec.format in _COUNTED else None


@dataclass(frozen=True)
class RestOfAnswer:
    """Grammar of the entities that may follow other entities, in lines or as JSON.

    A grammar cannot count. So it is made anew behind each entity: with what is left of the text when the written
    mentions are taken out, and without the mentions that would take the place of a written one. Where that would take
    too long, the grammar stays: what is written too often is dropped by the parser, and counted as unplaceable.

    Attributes:
        spec: The specification of the answer.
        text: The text as shown to the model.
        num_images: Number of pictures of the post.
    """

    spec: AnswerSpec
    text: str
    num_images: int

    @property
    def mark(self) -> bytes:
        """A byte that every token has with which an entity ends."""
        return self._form.mark

    def __call__(self, written: str) -> Further | None:
        """Return the grammar behind the whole entities of an answer.

        ``None`` where that of the answer itself need not be changed.

        Args:
            written: The answer so far; its last entity may be unfinished.
        """
        mentions, behind = self._form.begun(written) or ([], "")
        surfaces = tuple(mention.surface for mention in mentions)
        # Several tokens may end the same entity, and each asks: the latest answer is kept.
        grammar = self._latest.get(surfaces, "")
        if grammar == "":
            grammar = self._grammar_behind(surfaces)
            self._latest.clear()
            self._latest[surfaces] = grammar
        return None if grammar is None else Further(grammar, behind)

    def _grammar_behind(self, surfaces: Sequence[str]) -> str | None:
        form = self._form
        left = self.spec.capacity(self.text) - len(surfaces)
        if not surfaces or place(self.text, surfaces, self.spec.segmentation).unplaceable or not self._taken:
            return None  # Not of an answer that was counted, or not of a text in which it can be.
        free = self.free(surfaces)
        if left < 1 or not nameable(free) or not self._has_more(surfaces):
            return f"%llguidance {{}}\nstart: {form.further(0)}\n"
        used = self.used_up(surfaces)
        if used is None:
            return None
        excluded = [*(_escaped(form.spelled(each)) for each in used), f"(?s:.*){_escaped(self._taken)}(?s:.*)"]
        rules = [
            f"start: {form.further(left)}" if rule.startswith("start:") else _excluding(rule, excluded)
            for rule in form.grammar(free).split("\n")
        ]
        return "\n".join(rules)

    def free(self, surfaces: Sequence[str]) -> str:
        """Return the text with a character that no mention holds in the place of the written mentions.

        A mention that is written once and stands twice is taken out of the first place, and in a second copy of the
        text out of the last: ``Paris``, written first, leaves ``Paris Hilton``.
        """
        first = self._without(surfaces, place(self.text, surfaces, self.spec.segmentation).starts)
        turned = place(self.text[::-1], [each[::-1] for each in surfaces], self.spec.segmentation).starts
        ends = [None if start is None else len(self.text) - start for start in turned]
        starts = [None if end is None else end - len(each) for end, each in zip(ends, surfaces, strict=True)]
        last = self._without(surfaces, starts)
        return first if first == last else f"{first}{self._taken}{last}"

    def used_up(self, surfaces: Sequence[str]) -> list[str] | None:
        """Return what may not be written too: spans on written mentions that leave one of them without a place.

        ``None`` where there are too many spans to look at.
        """
        candidates: set[str] = set()
        scarce = [each for each in set(surfaces) if not self._is_plentiful(each, surfaces)]
        for looked, span in enumerate(chain.from_iterable(map(self._spans_on, scarce))):
            candidates.add(span)
            if len(candidates) > _MOST_SPANS or looked > _MOST_PLACES:
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
        """Return the text without each unit that a mention holds a part of."""
        characters = list(self.text)
        for surface, start in zip(surfaces, starts, strict=True):
            if start is not None:
                first, last = self._units(start, start + len(surface))
                begin, end = self._edges[first], self._edges[last]
                characters[begin:end] = self._taken * (end - begin)
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
    def _latest(self) -> dict[tuple[str, ...], str | None]:
        return {}

    @cached_property
    def _form(self) -> Lines | Json:
        return _COUNTED[self.spec.format](self.spec, self.num_images)

    @cached_property
    def _taken(self) -> str:
        """Character in the place of written mentions, which the text does not hold; empty where it holds them all."""
        held = set(self.text)
        return next((chr(number) for number in _PRIVATE if chr(number) not in held), "")

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


def _excluding(rule: str, excluded: Sequence[str]) -> str:
    """Return the rule of mentions without some of them, as one negation; other rules are returned as they are."""
    if not rule.startswith("MENTION:"):
        return rule
    head, separator, conditions = rule.partition("~/")
    assert separator, rule
    return f"{head}~/{'|'.join(excluded)}|{conditions}"


def _escaped(text: str) -> str:
    """Escape a text for a regular expression between slashes."""
    return re.sub(r"[^\w\s]|_", lambda match: f"\\x{{{ord(match.group()):x}}}", text)
