"""Posts as other tools export them, before their offsets are understood and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from instruct_mner.data.bio import Joiner
from instruct_mner.data.importing.regions import PictureRegions
from instruct_mner.data.joining import TokenCounts
from instruct_mner.schema.choices import Offsets
from instruct_mner.schema.records import Box


@dataclass(frozen=True, kw_only=True)
class Mark:
    """An entity as an export writes it.

    Attributes:
        start: First offset of the mark, of whatever unit; ``None`` where there is none.
        end: Last offset of the mark, or one past it.
        surface: Text of the mark, where it is given.
        label: Type of the mark.
        boxes: Boxes of the mark in pixels; ``None`` where they are not annotated.
        unread: Names of its other fields, which are dropped, and of which the user is told.
        where: Place of the mark, for messages, where it stands in a file beside its text.
    """

    start: int | None
    end: int | None
    surface: str | None
    label: str
    boxes: tuple[Box, ...] | None = None
    unread: frozenset[str] = frozenset()
    where: str | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class RawPost:
    """A post as an export writes it.

    Attributes:
        where: File and row, for messages.
        id: Id of the post; ``None`` where one must be made.
        text: Text of the post; ``None`` where it is its tokens.
        tokens: Tokens of the post, where it is pre-tokenised.
        joiner: Text between the tokens, where there is no text.
        marks: Entities of the post; ``None`` where it is not annotated.
        images: Names of its pictures.
        drawn: Boxes on each of its pictures, with the size on which they were drawn, where the file says it.
        unit: Unit of the offsets of its entities, where its layout says so.
        context: Captions, tags and OCR, in the native field.
        meta: Everything else.
    """

    where: str
    id: str | int | None = None
    text: str | None = None
    tokens: tuple[str, ...] | None = None
    joiner: Joiner = " "
    marks: tuple[Mark, ...] | None = None
    images: tuple[str, ...] = ()
    drawn: tuple[PictureRegions, ...] = ()
    unit: Offsets | None = None
    context: Any = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def joined(self, counts: TokenCounts) -> Self:
        """Return the post with its tokens joined as those of its file are; one that has a text as it is."""
        known = self.text is not None or self.tokens is None
        return self if known else replace(self, joiner=counts.joiner(self.tokens or ()))


@dataclass(frozen=True)
class Fault:
    """Something that is wrong in a row, so that it is no post.

    Attributes:
        where: File and row.
        reason: The reason, with the way to mend it.
    """

    where: str
    reason: str
