"""Answers as a JSON array: what models that were never tuned write best, and what plain servers can constrain."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from instruct_mner.answers.answer import WrittenEntity
from instruct_mner.answers.syntax import (
    Mention,
    Span,
    box_numbers,
    mention_rules,
    nameable,
    number_rules,
    quoted,
    read_box,
)
from instruct_mner.schema.records import Box, Entity

if TYPE_CHECKING:
    from instruct_mner.answers.spec import AnswerSpec

_DECODER = json.JSONDecoder()
_OPENING = re.compile(r"\[\s*+(?=[{\]])")
_SPACE = re.compile(r"\s*+")
# What a chat model likes to put around JSON, and what is no answer of its own.
_FENCE_BEFORE = re.compile(r"\s*+(```\w*+\s*+)?")
_FENCE_AFTER = re.compile(r"\s*+(```\s*+)?")

Fields = dict[str, tuple[object, Span]]


@dataclass(frozen=True)
class Json:
    """Compact objects in text order: ``[{"text":"George Zimmerman","label":"PER","box":[12,40,88,97]}]``.

    ``"box"`` only when grounded, ``[]`` where the entity is not visible; with several pictures it begins with the
    number of its picture, from 1. ``[]`` when there is no entity.

    What is decoded is the very serialisation that is trained on: no space outside of strings, and of the escapes
    of JSON only those that ``render`` writes. Reading is a little more lenient, for free decoding: white space,
    a Markdown fence around the array, a comma too many or too few, other order of the keys, and keys that were not
    asked for do no harm. Text before or after the array is one malformed item each, so is an object that is no
    entity, and so is whatever comes from the first place on that is not JSON; the objects before it are read.
    """

    spec: AnswerSpec
    num_images: int

    def render(self, text: str, entities: Sequence[Entity]) -> str:
        """Return the gold answer; of several boxes the largest is written."""
        objects = []
        for entity in entities:
            item: dict[str, object] = {"text": text[entity.start : entity.end], "label": entity.label}
            if self.spec.grounded:
                item["box"] = box_numbers(entity, self.num_images)
            objects.append(item)
        return json.dumps(objects, separators=(",", ":"), ensure_ascii=False)

    def spelled(self, text: str) -> str:
        """Return a piece of the text as an answer writes it, between its quotes."""
        return quoted(text)[1:-1]

    def frame(self, label: str) -> str:
        """Return an entity of this type without its mention, with the longest box."""
        box = {"box": [self.spec.box_limit] * 5} if self.spec.grounded else {}
        return json.dumps({"text": "", "label": label, **box}, separators=(",", ":"), ensure_ascii=False) + ","

    @property
    def mark(self) -> bytes:
        """The byte with which an object ends."""
        return b"}"

    def begun(self, written: str) -> tuple[list[Mention], str] | None:
        """Return the whole objects of an answer so far, and what is written behind them.

        ``None`` where one is no entity, and behind the end of the array.
        """
        opening = _OPENING.search(written)
        mentions: list[Mention | None] = []
        position = end = 0 if opening is None else opening.end()
        while end and not written.startswith("]", position):
            try:
                fields, end = _read_item(written, position)
            except (ValueError, RecursionError):
                break
            mentions.append(self._mention(fields))
            position = _next(written, end)
        whole = [each for each in mentions if each is not None]
        goes_on = len(whole) == len(mentions) and not written.startswith("]", position)
        return (whole, written[end:]) if goes_on else None

    def further(self, most: int) -> str:
        """Return what may follow whole objects, with at most so many more, as the right side of a rule."""
        more = f'("," entity){{0,{most}}} ' if most else ""
        return f'{more}"]"'

    def read(self, completion: str, *, finished: bool) -> tuple[list[Mention], int]:
        """Return the entities of a completion, and the number of items that are none; see :func:`read_objects`."""
        objects, malformed = read_objects(completion, finished=finished)
        mentions = [each for each in map(self._mention, objects) if each is not None]
        return mentions, malformed + len(objects) - len(mentions)

    def written(self, text: str, answer: str) -> list[WrittenEntity]:
        """Return where the entities of a gold answer stand."""
        read = (each.written for each in self.read(answer, finished=True)[0])
        return [WrittenEntity(label, mention, (mention, label)) for mention, label in read]

    def _mention(self, fields: Fields) -> Mention | None:
        text, text_span = fields.get("text", (None, (0, 0)))
        label, label_span = fields.get("label", (None, (0, 0)))
        if not isinstance(text, str) or not text.strip() or not isinstance(label, str):
            return None
        if label not in self.spec.labels:
            return None
        box: Box | None = None
        if self.spec.grounded:
            numbers = fields.get("box", (None, (0, 0)))[0]
            if not isinstance(numbers, list):
                return None
            if numbers:
                box = self._read_box(numbers)
                if box is None:
                    return None
        # Without the quotes and what lies between: their probability says nothing of the entity.
        written = tuple((start + 1, end - 1) for start, end in (text_span, label_span))
        return Mention(label, text.strip(), box, written)

    def _read_box(self, numbers: list[object]) -> Box | None:
        values = [number for number in numbers if type(number) is int and number >= 0]
        if len(values) != len(numbers):
            return None
        return read_box(values, self.num_images, self.spec.box_limit)

    def grammar(self, text: str) -> str:
        """Return the answers that may be given on this text.

        The text is escaped chunk by chunk, so that no mention begins or ends inside of an escape. A mention is a
        terminal of its own: the quote that ends it stands in no mention unescaped, so that the lexer cannot be
        confused. The array opens in one way only: with ``"[]"`` beside ``"["`` the lexer would have to look ahead.
        """
        prefix = f"{quoted(self.spec.prefix)} " if self.spec.prefix else ""
        none = f'{prefix}"[]"'
        if not nameable(text):
            return f"%llguidance {{}}\nstart: {none}\n"
        further = self.further(self.spec.capacity(text) - 1)
        before, between, after = (quoted(each) for each in ('{"text":"', '","label":', "}"))
        rules = [
            "%llguidance {}",
            f'start: {prefix}"[" ("]" | entity {further})',
            f"entity: {before} MENTION {between} LABEL {self._box_rule()}{after}",
            f"LABEL: {' | '.join(quoted(quoted(name)) for name in self.spec.labels.names)}",
            *mention_rules(text, self.spec.segmentation, self.spelled),
        ]
        if self.spec.grounded and self.num_images:
            picture = 'PICTURE "," ' if self.num_images > 1 else ""
            rules.append(f'BOX: "[]" | "[" {picture}NUMBER "," NUMBER "," NUMBER "," NUMBER "]"')
            rules += number_rules(self.spec.box_limit, self.num_images)
        return "\n".join(rules) + "\n"

    def _box_rule(self) -> str:
        if not self.spec.grounded:
            return ""
        key = quoted(',"box":')
        return f"{key} BOX " if self.num_images else f'{key} "[]" '

    def schema(self) -> dict[str, Any]:
        """Return a JSON schema of the answers, for servers that know no grammar; mentions need not be copies."""
        properties: dict[str, Any] = {
            "text": {"type": "string", "minLength": 1},
            "label": {"type": "string", "enum": list(self.spec.labels.names)},
        }
        if self.spec.grounded:
            properties["box"] = self._box_schema()
        item = {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }
        return {"type": "array", "items": item, "maxItems": self.spec.max_entities}

    def _box_schema(self) -> dict[str, Any]:
        nowhere: dict[str, Any] = {"type": "array", "items": {"type": "integer"}, "maxItems": 0}
        if not self.num_images:
            return nowhere
        length = 5 if self.num_images > 1 else 4
        number = {"type": "integer", "minimum": 0, "maximum": self.spec.box_limit}
        somewhere = {"type": "array", "items": number, "minItems": length, "maxItems": length}
        return {"anyOf": [nowhere, somewhere]}


def read_objects(completion: str, *, finished: bool) -> tuple[list[Fields], int]:
    """Return the fields of each item of an array, none of what is no object; and the number of items around them.

    Of an array that was cut the whole objects are read: unlike a line, an object says where it ends.
    """
    opening = _OPENING.search(completion)
    if opening is None:
        return [], 1
    objects: list[Fields] = []
    malformed = 0 if _FENCE_BEFORE.fullmatch(completion, 0, opening.start()) else 1
    position = opening.end()
    while not completion.startswith("]", position):
        try:
            fields, position = _read_item(completion, position)
        except (ValueError, RecursionError):
            # The end of what was cut, or no JSON: where the next item begins nobody can say.
            return objects, malformed + 1
        objects.append(fields)
        position = _next(completion, position)
    is_clean = finished and _FENCE_AFTER.fullmatch(completion, position + 1)
    return objects, malformed + (0 if is_clean else 1)


def _after(completion: str, position: int) -> int:
    """Return the first position from here on that is no white space."""
    match = _SPACE.match(completion, position)
    assert match is not None
    return match.end()


def _next(completion: str, position: int) -> int:
    """Return the position of the next member, or of the closing bracket."""
    position = _after(completion, position)
    return _after(completion, position + 1) if completion.startswith(",", position) else position


def _read_item(completion: str, position: int) -> tuple[Fields, int]:
    """Return an item of the array: the fields of an object with their places, none for other JSON; and where it ends.

    Raises:
        ValueError: It is not JSON.
        RecursionError: It is nested too deeply.
    """
    if not completion.startswith("{", position):
        _, position = _DECODER.raw_decode(completion, position)
        return {}, position
    fields: Fields = {}
    position = _after(completion, position + 1)
    while not completion.startswith("}", position):
        key, position = _DECODER.raw_decode(completion, position)
        position = _after(completion, position)
        if not isinstance(key, str) or not completion.startswith(":", position):
            raise ValueError("no key")
        start = _after(completion, position + 1)
        value, position = _DECODER.raw_decode(completion, start)
        fields[key] = value, (start, position)
        position = _next(completion, position)
    return fields, position + 1
