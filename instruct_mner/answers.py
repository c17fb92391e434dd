"""Answers: what the model writes, and how it is read back.

An :class:`AnswerSpec` is everything on which the two sides must agree. It renders gold answers for training,
parses completions, and makes the grammar that lets a model write nothing but answers that parse.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from instruct_mner.offsets import Segmentation, chunks, cuts_word, place
from instruct_mner.records import Box, Entity, LabelSet, Record, Rejected

NO_ENTITIES = "none"

# No processor resizes a picture to more pixels a side.
_LARGEST_SIDE = 99_999


class AnswerEntity(Record):
    """An entity as read from a completion.

    Attributes:
        start: First character in the text.
        end: One past the last.
        label: Its type.
        box: Where it is seen, in model units; ``None`` = not visible, or not asked for.
        written: Characters of the completion that hold label and mention, for the confidence.
    """

    start: int
    end: int
    label: str
    box: Box | None = None
    written: tuple[int, int] = (0, 0)


class Answer(Record):
    """A completion, read: entities in text order, and counts of what was not one."""

    entities: tuple[AnswerEntity, ...] = ()
    rejected: Rejected = Rejected()


@dataclass(frozen=True)
class _Line:
    """One well-formed line of a completion, before its mention is looked up in the text."""

    label: str
    surface: str
    box: Box | None
    written: tuple[int, int]


class AnswerSpec(Record):
    """What both sides of an answer agree on.

    Attributes:
        format: How entities are written.
        labels: The types that may be answered.
        grounded: Whether each entity carries a box.
        box_range: Largest coordinate; ``None`` where coordinates are pixels of the resized picture.
        segmentation: ``words``, or ``characters`` for text without spaces.
        max_entities: Largest number of entities in an answer.
        prefix: What the chat template puts between its generation prompt and the answer (a space with
            SmolVLM's ``Assistant:``).
    """

    format: Literal["lines"] = "lines"
    labels: LabelSet
    grounded: bool = False
    box_range: int | None = Field(default=1000, ge=1)
    segmentation: Segmentation = "words"
    max_entities: int = Field(default=24, ge=1)
    prefix: str = ""

    def with_labels(self, labels: LabelSet | None) -> AnswerSpec:
        """The same spec for another label set."""
        return self if labels is None else self.model_copy(update={"labels": labels})

    def for_pictures(self, resized: Sequence[tuple[int, int] | None]) -> AnswerSpec:
        """The spec for one post: where coordinates are pixels, none exceeds its largest picture.

        Args:
            resized: Width and height of each picture after the processor's resize.
        """
        sides = [side for size in resized if size is not None for side in size]
        return self.model_copy(update={"box_range": max(sides)}) if self.box_range is None and sides else self

    @property
    def box_limit(self) -> int:
        """The largest coordinate that may be written."""
        return _LARGEST_SIDE if self.box_range is None else self.box_range

    def render(self, text: str, entities: Sequence[Entity], num_images: int = 1) -> str:
        """Writes the gold answer.

        Args:
            text: The text as shown to the model.
            entities: Gold in text order, boxes in model units.
            num_images: Pictures of the post; with several, a box begins with its picture's number.
        """
        return Lines(self, num_images).render(text, entities)

    def parse(self, text: str, completion: str, num_images: int = 1, *, finished: bool = True) -> Answer:
        """Reads a completion; never raises.

        Args:
            text: The text as shown to the model.
            completion: What it wrote.
            num_images: Pictures of the post.
            finished: False where the completion was cut; its last line is then malformed.
        """
        if finished:
            lines, malformed = Lines(self, num_images).read(completion)
        else:
            whole_lines = completion.rpartition("\n")[0]
            lines, malformed = Lines(self, num_images).read(whole_lines) if whole_lines.strip() else ([], 0)
            malformed += 1
        placement = place(text, [line.surface for line in lines], self.segmentation)
        entities = [
            AnswerEntity(
                start=start,
                end=start + len(line.surface),
                label=line.label,
                box=line.box,
                written=line.written,
            )
            for line, start in zip(lines, placement.starts, strict=True)
            if start is not None
        ]
        rejected = Rejected(
            malformed=malformed,
            hallucinated=len(placement.hallucinated),
            unplaceable=len(placement.unplaceable),
        )
        return Answer(entities=tuple(sorted(entities, key=lambda entity: entity.start)), rejected=rejected)

    def grammar(self, text: str, num_images: int = 1) -> str:
        """A Lark grammar, in llguidance's dialect, of the answers that may be given on this text."""
        return Lines(self, num_images).grammar(text)

    def can_say(self, text: str, start: int, end: int) -> bool:
        """Whether the grammar admits a mention: a letter or digit in it, no space at its edges, no word cut."""
        surface = text[start:end]
        whole = self.segmentation == "characters" or not cuts_word(text, start, end)
        return whole and surface == surface.strip() and any(character.isalnum() for character in surface)

    def capacity(self, text: str) -> int:
        """Largest number of entities that an answer on this text may hold; mentions do not overlap."""
        units = (
            len(text)
            if self.segmentation == "characters"
            else sum(any(c.isalnum() for c in chunk) for chunk in chunks(text))
        )
        return min(self.max_entities, max(1, units))


@dataclass(frozen=True)
class Lines:
    """One entity a line, in text order: ``PER: George Zimmerman``; grounded, `` [12, 40, 88, 97]`` or `` []``.

    ``none`` when there is none. With several pictures a box begins with the number of its picture, from 1.
    """

    spec: AnswerSpec
    num_images: int

    def render(self, text: str, entities: Sequence[Entity]) -> str:
        """The gold answer; of several boxes the largest is written."""
        lines = []
        for entity in entities:
            line = f"{entity.label}: {text[entity.start : entity.end]}"
            lines.append(line + (f" {self._render_box(entity)}" if self.spec.grounded else ""))
        return "\n".join(lines) or NO_ENTITIES

    def _render_box(self, entity: Entity) -> str:
        if not entity.boxes:
            return "[]"
        largest = max(entity.boxes, key=lambda box: box.area)
        numbers = [round(value) for value in largest.box]
        return str([largest.image + 1, *numbers] if self.num_images > 1 else numbers)

    def read(self, completion: str) -> tuple[list[_Line], int]:
        """The well-formed lines of a completion, and the number of the others."""
        body = completion.strip()
        if body == NO_ENTITIES:
            return [], 0
        if not body:
            return [], 1
        lines: list[_Line] = []
        malformed = 0
        position = completion.index(body)
        for raw in body.split("\n"):
            line = self._read_line(raw, position)
            if line is not None:
                lines.append(line)
            elif raw.strip():
                malformed += 1
            position += len(raw) + 1
        return lines, malformed

    def _read_line(self, raw: str, position: int) -> _Line | None:
        label, separator, rest = raw.partition(": ")
        if not separator or label not in self.spec.labels:
            return None
        box: Box | None = None
        if self.spec.grounded:
            match = re.fullmatch(r"(.*) \[([0-9, ]*)\]", rest)
            if match is None:
                return None
            rest = match.group(1)
            numbers = match.group(2)
            if numbers:
                box = self._read_box(numbers)
                if box is None:
                    return None
        surface = rest.strip()
        if not surface:
            return None
        end = position + len(label) + len(separator) + rest.index(surface) + len(surface)
        return _Line(label, surface, box, (position, end))

    def _read_box(self, numbers: str) -> Box | None:
        if not re.fullmatch(r"[0-9]{1,9}(, [0-9]{1,9})*", numbers):
            return None
        values = [int(number) for number in numbers.split(", ")]
        image = 0
        if self.num_images > 1:
            image = values.pop(0) - 1
        if len(values) != 4 or not 0 <= image < self.num_images or max(values) > self.spec.box_limit:
            return None
        # A grammar cannot compare numbers: corners in the wrong order are put right, an empty side is widened.
        x0, x1 = _ordered(values[0], values[2], self.spec.box_limit)
        y0, y1 = _ordered(values[1], values[3], self.spec.box_limit)
        return Box(image=image, box=(x0, y0, x1, y1))

    def grammar(self, text: str) -> str:
        """The answers that may be given on this text.

        A line is one terminal, so that a text that itself holds `` [`` or ``: `` cannot confuse the lexer. With
        no letter or digit in the text there is nothing to name, and ``none`` is the only answer.
        """
        prefix = f"{_quoted(self.spec.prefix)} " if self.spec.prefix else ""
        none = f"{prefix}{_quoted(NO_ENTITIES)}"
        if not any(character.isalnum() for character in text):
            return f"%llguidance {{}}\nstart: {none}\n"
        if self.spec.segmentation == "characters":
            substring: dict[str, str | list[str]] = {"substring_chars": text}
        else:
            substring = {"substring_chunks": chunks(text)}
        box = " BOX" if self.spec.grounded and self.num_images else ' " []"' if self.spec.grounded else ""
        more = self.spec.capacity(text) - 1
        further = f' ("\\n" ENTITY){{0,{more}}}' if more else ""
        rules = [
            "%llguidance {}",
            f"start: {none} | {prefix}ENTITY{further}",
            f'ENTITY: LABEL ": " MENTION{box}',
            f"LABEL: {' | '.join(_quoted(name) for name in self.spec.labels.names)}",
            r"MENTION: SUBSTRING & /\S([^\n]*\S)?/ & /[^\n]*[\p{L}\p{N}][^\n]*/",
            f"SUBSTRING: %regex {json.dumps(substring)}",
        ]
        return "\n".join(rules + self._box_rules()) + "\n"

    def _box_rules(self) -> list[str]:
        if not self.spec.grounded or not self.num_images:
            return []
        picture = 'PICTURE ", " ' if self.num_images > 1 else ""
        rules = [
            f'BOX: " []" | " [" {picture}NUMBER ", " NUMBER ", " NUMBER ", " NUMBER "]"',
            f"NUMBER: /{_up_to(self.spec.box_limit)}/",
        ]
        if self.num_images > 1:
            rules.append("PICTURE: " + " | ".join(_quoted(str(n + 1)) for n in range(self.num_images)))
        return rules


def _ordered(first: int, second: int, limit: int) -> tuple[int, int]:
    low, high = min(first, second), max(first, second)
    if low < high:
        return low, high
    return (low, low + 1) if low < limit else (low - 1, low)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _up_to(maximum: int) -> str:
    """A regular expression of the decimal numbers 0..maximum without leading zeros."""
    digits = str(maximum)
    shorter = ["[0-9]"] + [f"[1-9][0-9]{{{length - 1}}}" for length in range(2, len(digits))]
    alternatives = [digits] + (shorter if len(digits) > 1 else [])
    for index, digit in enumerate(digits):
        low = 1 if index == 0 and len(digits) > 1 else 0
        if int(digit) > low:
            alternatives.append(f"{digits[:index]}[{low}-{int(digit) - 1}][0-9]{{{len(digits) - index - 1}}}")
    return "|".join(alternatives)
