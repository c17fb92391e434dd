"""Parts that the formats share: mentions, the numbers of a box, rules of a grammar."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from unicodedata import category

from instruct_mner.schema.choices import Segmentation
from instruct_mner.schema.offsets import chunks
from instruct_mner.schema.records import Box, Entity

Span = tuple[int, int]

# llguidance's lexer gives up on a piece of some hundred characters ("too many expressions"). No word is as long as
# this; what is, may be cut.
LONGEST_PIECE = 64


@dataclass(frozen=True)
class Mention:
    """One well-formed item of a completion, before its surface is looked up in the text.

    Attributes:
        label: Type of the mention.
        surface: Mention as it stands in the text; not empty, no space at its edges.
        box: Box in model units; ``None`` = not visible, or not asked for.
        written: Characters of the completion that hold label and surface.
    """

    label: str
    surface: str
    box: Box | None
    written: tuple[Span, ...]


def box_numbers(entity: Entity, num_images: int) -> list[int]:
    """Return the written form of an entity's boxes: the largest, after its picture's number where there are several."""
    if not entity.boxes:
        return []
    largest = max(entity.boxes, key=lambda box: box.area)
    numbers = [round(value) for value in largest.box]
    return [largest.image + 1, *numbers] if num_images > 1 else numbers


def read_box(numbers: Sequence[int], num_images: int, limit: int) -> Box | None:
    """Return the box of numbers that are not negative; ``None`` where they are none.

    A grammar cannot compare numbers: corners in the wrong order are put right, an empty side is widened.
    """
    values = list(numbers)
    image = values.pop(0) - 1 if num_images > 1 and values else 0
    if len(values) != 4 or not 0 <= image < num_images or max(values) > limit:
        return None
    x0, x1 = _ordered(values[0], values[2], limit)
    y0, y1 = _ordered(values[1], values[3], limit)
    return Box(image=image, box=(x0, y0, x1, y1))


def _ordered(first: int, second: int, limit: int) -> tuple[int, int]:
    low, high = min(first, second), max(first, second)
    if low < high:
        return low, high
    return (low, low + 1) if low < limit else (low - 1, low)


def quoted(text: str) -> str:
    """Return a string of Lark, or of JSON."""
    return json.dumps(text, ensure_ascii=False)


def nameable(text: str) -> bool:
    """Return whether a text holds anything that could be an entity: a letter or a digit."""
    return any(character.isalnum() for character in text)


def mention_rules(text: str, segmentation: Segmentation, spell: Callable[[str], str] = str) -> list[str]:
    """Return the rules of the mentions that a text holds: a letter or digit in each, no space at the edges.

    The conditions are one negation. A derivative of llguidance's lexer loses it with the first letter and keeps a
    small rest of it, while the intersection of two positive expressions costs five times as much: with 130,000
    tokens it used up the lexer's budget on posts of some 250 words.

    Args:
        text: The text as shown to the model.
        segmentation: The units that a mention is made of.
        spell: Spelling of a piece of the text in an answer; no mention ends inside of such a piece.
    """
    pieces = list(text) if segmentation == "characters" else chunks(text)
    short = [piece[start : start + LONGEST_PIECE] for piece in pieces for start in range(0, len(piece), LONGEST_PIECE)]
    spelled = [spell(piece) for piece in short]
    substring = {"substring_chunks": spelled}
    return [
        rf"MENTION: SUBSTRING & ~/\s(?s:.*)|(?s:.*)\s|{_nothing_nameable(spelled)}|(?s:.*)\n(?s:.*)/",
        f"SUBSTRING: %regex {json.dumps(substring)}",
    ]


def _nothing_nameable(pieces: Sequence[str]) -> str:
    """Return the regular expression of strings of characters of the text, none of which is a letter or a digit.

    The class of all such characters takes half of the time in which a grammar is made.
    """
    kinds = {character: category(character)[0] for piece in pieces for character in piece}
    if any(category(character) == "Cn" for character in kinds):  # a letter, maybe, of a later version of Unicode
        return r"[^\p{L}\p{N}]*"
    others = {" "} | {character for character, kind in kinds.items() if kind not in "LN"}
    escaped = "".join(rf"\x{{{ord(character):x}}}" for character in sorted(others))
    return f"[{escaped}]*"


def number_rules(limit: int, num_images: int) -> list[str]:
    """Return the rules of a coordinate and, with several pictures, of a picture's number."""
    rules = [f"NUMBER: /{up_to(limit)}/"]
    if num_images > 1:
        rules.append("PICTURE: " + " | ".join(quoted(str(number + 1)) for number in range(num_images)))
    return rules


def up_to(maximum: int) -> str:
    """Return a regular expression of the decimal numbers 0..maximum without leading zeros."""
    digits = str(maximum)
    shorter = ["[0-9]"] + [f"[1-9][0-9]{{{length - 1}}}" for length in range(2, len(digits))]
    alternatives = [digits] + (shorter if len(digits) > 1 else [])
    for index, digit in enumerate(digits):
        low = 1 if index == 0 and len(digits) > 1 else 0
        if int(digit) > low:
            alternatives.append(f"{digits[:index]}[{low}-{int(digit) - 1}][0-9]{{{len(digits) - index - 1}}}")
    return "|".join(alternatives)
