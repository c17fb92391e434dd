"""Answers of one entity a line: few tokens, the default after fine-tuning."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from instruct_mner.answers.answer import WrittenEntity
from instruct_mner.answers.syntax import Mention, box_numbers, mention_rules, nameable, number_rules, quoted, read_box
from instruct_mner.schema.records import Box, Entity

if TYPE_CHECKING:
    from instruct_mner.answers.spec import AnswerSpec

NO_ENTITIES = "none"


@dataclass(frozen=True)
class Lines:
    """One entity a line, in text order: ``PER: George Zimmerman``; grounded, `` [12, 40, 88, 97]`` or `` []``.

    ``none`` when there is none. With several pictures a box begins with the number of its picture, from 1.
    """

    spec: AnswerSpec
    num_images: int

    def render(self, text: str, entities: Sequence[Entity]) -> str:
        """Return the gold answer; of several boxes the largest is written."""
        lines = []
        for entity in entities:
            line = f"{entity.label}: {text[entity.start : entity.end]}"
            lines.append(line + (f" {box_numbers(entity, self.num_images)}" if self.spec.grounded else ""))
        return "\n".join(lines) or NO_ENTITIES

    def spelled(self, text: str) -> str:
        """Return a piece of the text as an answer writes it."""
        return text

    def frame(self, label: str) -> str:
        """Return an entity of this type without its mention, with the longest box."""
        return f"{label}: {f' {[self.spec.box_limit] * 5}' if self.spec.grounded else ''}\n"

    @property
    def mark(self) -> bytes:
        """The byte with which a line ends."""
        return b"\n"

    def begun(self, written: str) -> tuple[list[Mention], str] | None:
        """Return the whole lines of an answer so far, and what is written behind them; ``None`` where one is none."""
        whole, _, behind = written.rpartition("\n")
        mentions, malformed = self.read(whole, finished=True)
        return None if malformed else (mentions, behind)

    def further(self, most: int) -> str:
        """Return what may follow whole lines, with at most so many more, as the right side of a rule."""
        further = f' ("\\n" entity){{0,{most - 1}}}' if most > 1 else ""
        return f"entity{further}" if most else '""'

    def read(self, completion: str, *, finished: bool) -> tuple[list[Mention], int]:
        """Return the well-formed lines of a completion, and the number of the others.

        The last line of a completion that was cut is not read: its mention may go on.
        """
        if not finished:
            whole_lines = completion.rpartition("\n")[0]
            mentions, malformed = self.read(whole_lines, finished=True) if whole_lines.strip() else ([], 0)
            return mentions, malformed + 1
        body = completion.strip()
        if body == NO_ENTITIES:
            return [], 0
        if not body:
            return [], 1
        lines: list[Mention] = []
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

    def written(self, text: str, answer: str) -> list[WrittenEntity]:
        """Return where the entities of a gold answer stand."""
        written = []
        for line in self.read(answer, finished=True)[0]:
            [(start, end)] = line.written
            label, mention = (start, start + len(line.label)), (end - len(line.surface), end)
            written.append(WrittenEntity(label, mention, (label, mention)))
        return written

    def _read_line(self, raw: str, position: int) -> Mention | None:
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
        return Mention(label, surface, box, ((position, end),))

    def _read_box(self, numbers: str) -> Box | None:
        if not re.fullmatch(r"[0-9]{1,9}(, [0-9]{1,9})*", numbers):
            return None
        return read_box([int(number) for number in numbers.split(", ")], self.num_images, self.spec.box_limit)

    def grammar(self, text: str) -> str:
        """Return the grammar of the answers that may be given on this text.

        A line is two terminals. No label holds ``: ``, so that the first one can end in one place only. The second
        one is the mention with its box: apart from each other they would confuse the lexer, which does not go back,
        on a text that itself holds a space or `` [``. In one terminal with the label, the mention is not prepared
        when the grammar is compiled, and long posts use up the budget of a single step.

        With no letter or digit in the text there is nothing to name, and ``none`` is the only answer.
        """
        prefix = f"{quoted(self.spec.prefix)} " if self.spec.prefix else ""
        none = f"{prefix}{quoted(NO_ENTITIES)}"
        if not nameable(text):
            return f"%llguidance {{}}\nstart: {none}\n"
        rules = [
            "%llguidance {}",
            f"start: {none} | {prefix}{self.further(self.spec.capacity(text))}",
            f"entity: LABEL {'PLACED' if self.spec.grounded else 'MENTION'}",
            f'LABEL: ({" | ".join(quoted(name) for name in self.spec.labels.names)}) ": "',
            *mention_rules(text, self.spec.segmentation),
        ]
        return "\n".join(rules + self._box_rules()) + "\n"

    def _box_rules(self) -> list[str]:
        if not self.spec.grounded:
            return []
        if not self.num_images:
            return ['PLACED: MENTION " []"']
        picture = 'PICTURE ", " ' if self.num_images > 1 else ""
        box = f'BOX: " []" | " [" {picture}NUMBER ", " NUMBER ", " NUMBER ", " NUMBER "]"'
        return ["PLACED: MENTION BOX", box, *number_rules(self.spec.box_limit, self.num_images)]
