"""Specification of answers: what the side that writes them and the side that reads them agree on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from instruct_mner.schema.choices import Segmentation
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.offsets import can_say, chunks
from instruct_mner.schema.record import Record

FormatName = Literal["lines", "json", "inline"]

# No processor resizes a picture to more pixels a side.
_LARGEST_SIDE = 99_999


class AnswerSpec(Record):
    """Specification of an answer, on which both sides agree.

    Attributes:
        format: Format of the entities.
        labels: The types that may be answered.
        grounded: True where each entity carries a box.
        box_range: Largest coordinate; ``None`` where coordinates are pixels of the resized picture.
        segmentation: Places where a mention may begin and end. ``words``: found in each post, at the edges of words
            and at every character of scripts without spaces; ``characters``: anywhere.
        max_entities: Largest number of entities in an answer.
        prefix: Text that the chat template puts between its generation prompt and the answer (a space with
            SmolVLM's ``Assistant:``).
    """

    format: FormatName = "lines"
    labels: LabelSet
    grounded: bool = False
    box_range: int | None = Field(default=1000, ge=1)
    segmentation: Segmentation = "words"
    max_entities: int = Field(default=24, ge=1)
    prefix: str = ""

    def with_labels(self, labels: LabelSet | None) -> AnswerSpec:
        """Return the same spec for another label set."""
        return self if labels is None else self.model_copy(update={"labels": labels})

    def for_pictures(self, resized: Sequence[tuple[int, int] | None]) -> AnswerSpec:
        """Return the spec for one post: where coordinates are pixels, none exceeds its largest picture.

        Args:
            resized: Width and height of each picture after the processor's resize.
        """
        sides = [side for size in resized if size is not None for side in size]
        return self.model_copy(update={"box_range": max(sides)}) if self.box_range is None and sides else self

    @property
    def box_limit(self) -> int:
        """The largest coordinate that may be written."""
        return _LARGEST_SIDE if self.box_range is None else self.box_range

    def can_say(self, text: str, start: int, end: int) -> bool:
        """Return whether the grammar admits a mention: a letter or digit in it, no space at its edges, no word cut."""
        if self.format == "inline" and (text.startswith("[", start) or " |" in text[start:end]):
            return False  # The answer could be read in two ways.
        return can_say(text, start, end, self.segmentation)

    def capacity(self, text: str) -> int:
        """Largest number of entities that an answer on this text may hold; mentions do not overlap."""
        units = (
            len(text)
            if self.segmentation == "characters"
            else sum(any(c.isalnum() for c in chunk) for chunk in chunks(text))
        )
        return min(self.max_entities, max(1, units))
