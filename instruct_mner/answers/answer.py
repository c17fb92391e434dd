"""An answer, read; and what a format of answers does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from instruct_mner.answers.syntax import Mention, Span
from instruct_mner.schema.record import Record
from instruct_mner.schema.records import Box, Entity, Rejected


class AnswerEntity(Record):
    """An entity as read from a completion.

    Attributes:
        start: First character in the text.
        end: One past the last.
        label: Type of the entity.
        box: Region in which it is seen, in model units; ``None`` = not visible, or not asked for.
        written: Characters of the completion that hold label and mention, for the confidence.
    """

    start: int
    end: int
    label: str
    box: Box | None = None
    written: tuple[Span, ...] = ()


class WrittenEntity(NamedTuple):
    """Place of an entity in a gold answer, in characters.

    Attributes:
        label: Characters of the label.
        mention: Characters of the mention.
        content: Parts that say that there is an entity, and where, and of which type.
    """

    label: Span
    mention: Span
    content: tuple[Span, ...]


class Answer(Record):
    """A completion, read: entities in text order, and counts of what was not one."""

    entities: tuple[AnswerEntity, ...] = ()
    rejected: Rejected = Rejected()


class Format(Protocol):
    """Format of entities in an answer; a class each, made for a spec and the number of a post's pictures."""

    def render(self, text: str, entities: Sequence[Entity]) -> str:
        """Return the gold answer."""

    def read(self, completion: str, *, finished: bool) -> tuple[list[Mention], int]:
        """Return the well-formed items of a completion, and the number of the others; never raises."""

    def written(self, text: str, answer: str) -> list[WrittenEntity]:
        """Return where the entities of a gold answer on this text stand, in their order."""

    def grammar(self, text: str) -> str:
        """Return the answers that may be given on this text."""

    def spelled(self, text: str) -> str:
        """Return a piece of the text as an answer writes it."""

    def frame(self, label: str) -> str:
        """Return an entity of this type without its mention, with the longest box."""
