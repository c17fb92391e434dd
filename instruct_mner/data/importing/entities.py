"""Entities of a raw post in characters of its text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from instruct_mner.data.importing.offsets import UNITS, same_surface, span_of, text_of
from instruct_mner.data.importing.posts import Mark, RawPost
from instruct_mner.data.tag_schemes import why_no_type
from instruct_mner.schema.choices import Offsets
from instruct_mner.schema.offsets import place
from instruct_mner.schema.records import Entity


@dataclass
class EntityNotes:
    """Choices that were made for the user while entities were read.

    Attributes:
        num_repeated: Mentions without offsets whose surface stands more often in the text than they are listed.
        first: The first of them.
        unread: Fields of entities that are dropped.
    """

    num_repeated: int = 0
    first: str = ""
    unread: set[str] = field(default_factory=set)

    def lines(self, source: str) -> list[str]:
        """Return the lines for the user."""
        lines = []
        if self.num_repeated:
            lines.append(
                f"{source}: {self.num_repeated} mentions without offsets stand more than once in their text, and the "
                f"first places were taken: {self.first}"
            )
        if self.unread:
            lines.append(f"{source}: fields of entities that are left out: {', '.join(sorted(self.unread))}")
        return lines


def entities_of(post: RawPost, unit: Offsets, notes: EntityNotes) -> list[Entity]:
    """Return the entities of a post in characters.

    Args:
        post: The post.
        unit: Unit of its offsets.
        notes: Choices that are added to.

    Raises:
        ValueError: Offsets or a surface are none of the text, or a label is none of a type.
    """
    text = text_of(post)
    marks = post.marks or ()
    starts = iter(_starts(marks, text, notes))
    entities = []
    for mark in marks:
        notes.unread |= mark.unread
        if (reason := why_no_type(mark.label)) is not None:
            raise ValueError(f"{_at(mark)}label {mark.label!r}: {reason}")
        if mark.start is None:
            start = next(starts)
            span: tuple[int, int] | None = (start, start + len(mark.surface or ""))
        else:
            span = span_of(mark, post, unit)
        if span is None:
            raise ValueError(
                f"{_at(mark)}entity with the offsets {mark.start} to {mark.end} lies outside of the text, or is empty; "
                f"they are read as {unit}{_fitting(mark, post) or ' (--offsets)'}"
            )
        surface = text[slice(*span)]
        if mark.surface is not None and not same_surface(surface, mark.surface):
            raise ValueError(
                f"{_at(mark)}entity {mark.surface!r} at {mark.start} to {mark.end} does not stand there: the text has "
                f"{surface!r}{_fitting(mark, post)}"
            )
        entities.append(Entity(start=span[0], end=span[1], text=surface, label=mark.label, boxes=mark.boxes))
    return entities


def _fitting(mark: Mark, post: RawPost) -> str:
    """Return what stands behind a message on offsets that do not fit: the unit in which they do, if any."""
    if mark.surface is None:
        return ""
    spans = {unit: span for unit in UNITS if (span := span_of(mark, post, unit)) is not None}
    text = text_of(post)
    fitting = next((unit for unit, span in spans.items() if same_surface(text[slice(*span)], mark.surface)), None)
    return "" if fitting is None else f"; it stands there where they are read as {fitting}: --offsets {fitting}"


def _at(mark: Mark) -> str:
    return "" if mark.where is None else f"{mark.where}: "


def _starts(marks: Sequence[Mark], text: str, notes: EntityNotes) -> list[int]:
    surfaces = [mark.surface or "" for mark in marks if mark.start is None]
    if not surfaces:
        return []
    if not all(surfaces):
        raise ValueError("an entity has neither offsets nor a text")
    starts = []
    for surface, start in zip(surfaces, place(text, surfaces).starts, strict=True):
        if start is None:
            raise ValueError(f"entity {surface!r} does not stand in the text, or is listed more often than it does")
        if text.count(surface) > surfaces.count(surface):
            notes.num_repeated += 1
            notes.first = notes.first or f"{surface!r} in {text[:60]!r}"
        starts.append(start)
    return starts
