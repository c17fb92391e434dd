"""Answers as the post itself, written out with its entities in brackets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from instruct_mner.answers.answer import Answer, AnswerEntity, WrittenEntity
from instruct_mner.answers.lines import NO_ENTITIES
from instruct_mner.answers.syntax import LONGEST_PIECE, Mention, box_numbers, nameable, number_rules, quoted, read_box
from instruct_mner.schema.offsets import chunks
from instruct_mner.schema.records import Box, Entity, Rejected

if TYPE_CHECKING:
    from instruct_mner.answers.spec import AnswerSpec

_OPEN, _BAR = "[", " |"
# llguidance 1.7.6 fails where more than 2,000 rules end at once, and the last unit of a text ends up to three of each.
_MOST_UNITS = 600
# Of a mention that is read apart from its text: what has no end is not looked through from every bracket on.
_LONGEST_MENTION = 200


@dataclass(frozen=True)
class Inline:
    """The text of the post with ``[mention | LABEL]`` in the place of each mention.

    ``RT @user : [Kobe Bryant | PER] in [LA | LOC]``; grounded, ``[Kobe Bryant | PER | 12, 40, 88, 97]`` or
    ``[Kobe Bryant | PER | none]``. With several pictures a box begins with the number of its picture, from 1. Mentions
    need not be looked for: they stand where they stand in the text. Spaces around the text are left out. A text
    without a letter or digit is answered with ``none``.

    No mention begins with a bracket or holds `` |``: an answer could then be read in two ways.

    Source: https://github.com/szu-tera/LLMs4NER, where this form is the best of six with models of 3 to 9 billion
    weights.
    """

    spec: AnswerSpec
    num_images: int

    def render(self, text: str, entities: Sequence[Entity]) -> str:
        """Write the gold answer; of several boxes the largest is written."""
        if not nameable(text):
            return NO_ENTITIES
        parts, position = [], 0
        for entity in entities:
            parts += [text[position : entity.start], _OPEN, text[entity.start : entity.end], self._closing(entity)]
            position = entity.end
        return "".join([*parts, text[position:]]).strip()

    def _closing(self, entity: Entity) -> str:
        box = ", ".join(map(str, box_numbers(entity, self.num_images))) or NO_ENTITIES
        return f"{_BAR} {entity.label}{f'{_BAR} {box}' if self.spec.grounded else ''}]"

    def spelled(self, text: str) -> str:
        """Return a piece of the text as an answer writes it."""
        return text

    def frame(self, label: str) -> str:
        """Return an entity of this type without its mention, with the longest box."""
        box = ", ".join([str(self.spec.box_limit)] * 5)
        return f"{_OPEN}{_BAR} {label}{f'{_BAR} {box}' if self.spec.grounded else ''}]"

    def read(self, completion: str, *, finished: bool) -> tuple[list[Mention], int]:
        """Return the bracketed mentions of a completion, whatever stands between them, and the number of others."""
        pattern = re.compile(
            rf"\[(?!\[)((?:(?!{re.escape(_BAR)}).){{1,{_LONGEST_MENTION}}}?){self._close_pattern}", re.DOTALL
        )
        read = (self._mention(each.group(1), each, each.start(), each.end(1)) for each in pattern.finditer(completion))
        return [mention for mention in read if mention is not None], 0 if finished else 1

    @property
    def _close_pattern(self) -> str:
        labels = "|".join(map(re.escape, sorted(self.spec.labels.names, key=len, reverse=True)))
        bar = re.escape(_BAR)
        box = rf"{bar} (?P<box>none|[0-9]{{1,9}}(?:, [0-9]{{1,9}})*)" if self.spec.grounded else ""
        return rf"(?P<close>{bar} )(?P<label>{labels}){box}\]"

    def _mention(self, surface: str, close: re.Match[str], opened: int, ended: int) -> Mention | None:
        box: Box | None = None
        if self.spec.grounded and close["box"] != NO_ENTITIES:
            numbers = [int(number) for number in close["box"].split(", ")]
            box = read_box(numbers, self.num_images, self.spec.box_limit)
            if box is None:
                return None
        if not surface.strip():
            return None
        return Mention(close["label"], surface, box, ((opened, ended), (close.start("close"), close.end("label"))))

    def parse(self, text: str, completion: str, *, finished: bool) -> Answer:
        """Read a completion beside the text that it copies; never raises.

        Where the copy leaves the text, that is one malformed item, and of the rest the bracketed mentions are looked
        for in what is left of the text.
        """
        begin = len(text) - len(text.lstrip())
        body = completion.strip()
        offset = completion.index(body)
        if not nameable(text):
            return Answer(rejected=Rejected(malformed=0 if finished and body == NO_ENTITIES else 1))
        copied = self._copied(text.rstrip(), begin, completion[: offset + len(body)], offset)
        malformed = 0 if finished and copied.ended else 1
        entities, hallucinated = copied.entities, 0
        if not copied.ended:
            rest, _ = self.read(completion[copied.read :], finished=True)
            position = copied.position
            for mention in rest:
                start = text.find(mention.surface.strip(), position)
                if start < 0:
                    hallucinated += 1
                    continue
                position = start + len(mention.surface.strip())
                written = tuple((first + copied.read, last + copied.read) for first, last in mention.written)
                entities.append(
                    AnswerEntity(start=start, end=position, label=mention.label, box=mention.box, written=written)
                )
        return Answer(entities=tuple(entities), rejected=Rejected(malformed=malformed, hallucinated=hallucinated))

    def written(self, text: str, answer: str) -> list[WrittenEntity]:
        """Return where the entities of a gold answer stand; its copy of the text tells brackets of the text apart."""
        written = []
        for entity in self.parse(text, answer, finished=True).entities:
            (_, ended), (_, named) = entity.written
            label, mention = (named - len(entity.label), named), (ended - (entity.end - entity.start), ended)
            # The brackets are what is decided: between them the text is copied.
            written.append(WrittenEntity(label, mention, entity.written))
        return written

    def _copied(self, text: str, position: int, completion: str, read: int) -> _Copied:
        """Follow the copy of ``text[position:]`` in ``completion[read:]`` as far as it goes."""
        close = re.compile(self._close_pattern)
        entities: list[AnswerEntity] = []
        done = read, position  # before an open bracket that was not closed
        opened: tuple[int, int] | None = None
        while read < len(completion) or opened is not None:
            ends = close.match(completion, read) if opened is not None else None
            if ends is not None and opened is not None:
                surface = text[opened[1] : position]
                mention = self._mention(surface, ends, opened[0], read)
                if mention is None or surface != surface.strip():
                    break
                entities.append(
                    AnswerEntity(
                        start=opened[1], end=position, label=mention.label, box=mention.box, written=mention.written
                    )
                )
                read, opened = ends.end(), None
            elif completion[read : read + 1] == text[position : position + 1] != "":
                read, position = read + 1, position + 1
            elif opened is None and completion.startswith(_OPEN, read):
                opened, read = (read, position), read + 1
            else:
                break
            if opened is None:
                done = read, position
        return _Copied(entities, *done, ended=done == (len(completion), len(text)))

    def grammar(self, text: str) -> str:
        """Return the grammar of the answers that may be given on this text: its copy, with brackets around mentions.

        A rule for each place between two units of the text: outside of brackets, inside of them, and inside after a
        letter or digit, where they may be closed. A text of very many units has a looser grammar, which copies as
        exactly but does not count brackets.
        """
        prefix = f"{quoted(self.spec.prefix)} " if self.spec.prefix else ""
        if not nameable(text):
            return f"%llguidance {{}}\nstart: {prefix}{quoted(NO_ENTITIES)}\n"
        units = list(text.strip()) if self.spec.segmentation == "characters" else chunks(text.strip())
        rules = ["%llguidance {}", f"start: {prefix}o0"] if len(units) <= _MOST_UNITS else []
        rules += _exact_rules(units) if rules else ["%llguidance {}", f"start: {prefix}{_loose_rule(units)}"]
        labels = " | ".join(quoted(name) for name in self.spec.labels.names)
        box = f" {quoted(f'{_BAR} ')} BOX" if self.spec.grounded else ""
        rules += [f'CLOSE: {quoted(f"{_BAR} ")} LABEL{box} "]"', f"LABEL: {labels}"]
        if self.spec.grounded:
            picture = 'PICTURE ", " ' if self.num_images > 1 else ""
            numbers = f' | {picture}NUMBER ", " NUMBER ", " NUMBER ", " NUMBER' if self.num_images else ""
            rules.append(f"BOX: {quoted(NO_ENTITIES)}{numbers}")
            rules += number_rules(self.spec.box_limit, self.num_images) if self.num_images else []
        return "\n".join(rules) + "\n"


@dataclass(frozen=True)
class _Copied:
    """Progress of a completion that copies a text.

    Attributes:
        entities: Mentions in brackets so far.
        read: Characters of the completion that are read.
        position: Characters of the text that are copied.
        ended: True where both are at their ends.
    """

    entities: list[AnswerEntity]
    read: int
    position: int
    ended: bool


def _exact_rules(units: Sequence[str]) -> Iterator[str]:
    """Return rules ``o``: outside brackets; ``m``: inside, without a letter or digit yet; ``a``: inside, with one."""
    places = [0, *accumulate(map(len, units))]
    text, last = "".join(units), len(units)
    # Inside of brackets, a bar after a space can only be the one before a label.
    goes_on = [not text.startswith(_BAR, begin) for begin in places]
    named = [any(character.isalnum() for character in unit) for unit in units]
    closes = [index > 0 and not units[index - 1][-1:].isspace() for index in range(last + 1)]
    # Places inside of brackets from which the answer can go on, from the last to the first.
    with_name, without_name = [False] * last + [closes[last]], [False] * (last + 1)
    for index in reversed(range(last)):
        with_name[index] = closes[index] or (goes_on[index] and with_name[index + 1])
        without_name[index] = goes_on[index] and (with_name if named[index] else without_name)[index + 1]
    for index, unit in enumerate(units):
        opens = without_name[index] and not unit.isspace() and not unit.startswith(_OPEN)
        copied = _copied_unit(unit)
        yield f"o{index}: {copied} o{index + 1}" + (f' | "[" m{index}' if opens else "")
        if without_name[index]:
            yield f"m{index}: {copied} {'a' if named[index] else 'm'}{index + 1}"
        if with_name[index]:
            further = [f"{copied} a{index + 1}"] if goes_on[index] and with_name[index + 1] else []
            yield f"a{index}: {' | '.join([*further, *([f'CLOSE o{index}'] if closes[index] else [])])}"
    yield f'o{last}: ""'
    yield f"a{last}: CLOSE o{last}"


def _copied_unit(unit: str) -> str:
    """Return a unit as strings of a length that llguidance's lexer takes."""
    return " ".join(quoted(unit[start : start + LONGEST_PIECE]) for start in range(0, len(unit), LONGEST_PIECE))


def _loose_rule(units: Sequence[str]) -> str:
    return " ".join(f'("[")? {_copied_unit(unit)} (CLOSE)?' for unit in units)
