"""From the surfaces in an answer to character offsets in the text.

A model writes *what* an entity is called, never *where* it stands. Taking the first occurrence of each
surface misplaces 1.5–1.9 % of the entities of the Twitter sets: ``Thrones`` lands inside ``Game of Thrones``,
``US`` inside ``USA``. Here the longest surfaces choose first, occurrences do not overlap, whole tokens are
preferred to parts of them, and equal surfaces are placed in text order.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Segmentation = Literal["words", "characters"]


def is_word_character(character: str) -> bool:
    """Whether a character belongs to a word: letters, digits, and the marks that combine with them."""
    return character.isalnum() or unicodedata.category(character).startswith("M")


def chunks(text: str) -> list[str]:
    """Cuts a text where a span may begin or end: runs of word characters, and every other character alone."""
    edges = [0]
    for index, (before, after) in enumerate(pairwise(text), start=1):
        if not (is_word_character(before) and is_word_character(after)):
            edges.append(index)
    edges.append(len(text))
    return [text[start:end] for start, end in pairwise(edges) if start < end]


@dataclass(frozen=True)
class Placement:
    """Where surfaces stand.

    Attributes:
        starts: For each surface its first character, or ``None``.
        hallucinated: Indices of the surfaces that are nowhere in the text.
        unplaceable: Indices of the surfaces all of whose occurrences were taken.
    """

    starts: tuple[int | None, ...]
    hallucinated: tuple[int, ...]
    unplaceable: tuple[int, ...]


def _occurrences(text: str, surface: str) -> list[int]:
    found = []
    start = text.find(surface)
    while start >= 0:
        found.append(start)
        start = text.find(surface, start + 1)
    return found


def cuts_word(text: str, start: int, end: int) -> bool:
    """Whether a span begins or ends inside of a word."""
    return any(
        0 < edge < len(text) and is_word_character(text[edge - 1]) and is_word_character(text[edge])
        for edge in (start, end)
    )


def _cut_quality(text: str, start: int, end: int) -> int:
    """0 for a span of whole tokens (spaces or nothing around it), 1 for whole words, 2 for parts of words."""
    before, after = text[start - 1 : start] if start else "", text[end : end + 1]
    if (not before or before.isspace()) and (not after or after.isspace()):
        return 0
    return 2 if cuts_word(text, start, end) else 1


def _choose(text: str, surface: str, wanted: int, taken: bytearray, segmentation: Segmentation) -> list[int]:
    """The best free occurrences of one surface, at most ``wanted``, in text order; marks them as taken."""
    candidates = _occurrences(text, surface)
    if segmentation == "words":
        candidates.sort(key=lambda start: (_cut_quality(text, start, start + len(surface)), start))
    chosen: list[int] = []
    for start in candidates:
        if len(chosen) == wanted:
            break
        if not any(taken[start : start + len(surface)]):
            taken[start : start + len(surface)] = b"\x01" * len(surface)
            chosen.append(start)
    return sorted(chosen)


def place(text: str, surfaces: Sequence[str], segmentation: Segmentation = "words") -> Placement:
    """Finds where each surface stands in the text.

    Args:
        text: The text as the model was shown it.
        surfaces: What the model wrote, in its order; none of them empty.
        segmentation: ``words`` prefers occurrences that cut no word; ``characters`` is for text without spaces.

    Returns:
        One start for each surface, no two spans overlapping.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for index, surface in enumerate(surfaces):
        groups[surface].append(index)
    starts: list[int | None] = [None] * len(surfaces)
    hallucinated: list[int] = []
    unplaceable: list[int] = []
    taken = bytearray(len(text))
    for surface, members in sorted(groups.items(), key=lambda item: -len(item[0])):
        chosen = _choose(text, surface, len(members), taken, segmentation)
        for index, start in zip(members, chosen, strict=False):
            starts[index] = start
        missing = members[len(chosen) :]
        (unplaceable if surface in text else hallucinated).extend(missing)
    return Placement(tuple(starts), tuple(sorted(hallucinated)), tuple(sorted(unplaceable)))
