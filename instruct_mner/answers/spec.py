"""What both sides of an answer agree on, and what an answer says once it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from instruct_mner.answers.answer import Answer, AnswerEntity, Format
from instruct_mner.answers.json_array import Json
from instruct_mner.answers.lines import Lines
from instruct_mner.errors import ConfigError
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.offsets import Segmentation, chunks, cuts_word, place
from instruct_mner.schema.record import Record
from instruct_mner.schema.records import Entity, Rejected

FormatName = Literal["lines", "json"]

# No processor resizes a picture to more pixels a side.
_LARGEST_SIDE = 99_999


_FORMATS: Mapping[FormatName, type[Lines] | type[Json]] = {"lines": Lines, "json": Json}


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

    format: FormatName = "lines"
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

    def in_format(self, num_images: int = 1) -> Format:
        """The format for a post with so many pictures."""
        return _FORMATS[self.format](self, num_images)

    def render(self, text: str, entities: Sequence[Entity], num_images: int = 1) -> str:
        """Writes the gold answer.

        Args:
            text: The text as shown to the model.
            entities: Gold in text order, boxes in model units.
            num_images: Pictures of the post; with several, a box begins with its picture's number.
        """
        return self.in_format(num_images).render(text, entities)

    def parse(self, text: str, completion: str, num_images: int = 1, *, finished: bool = True) -> Answer:
        """Reads a completion; never raises.

        Args:
            text: The text as shown to the model.
            completion: What it wrote.
            num_images: Pictures of the post.
            finished: False where the completion was cut; that counts as one malformed item.
        """
        mentions, malformed = self.in_format(num_images).read(completion, finished=finished)
        placement = place(text, [mention.surface for mention in mentions], self.segmentation)
        entities = [
            AnswerEntity(
                start=start,
                end=start + len(mention.surface),
                label=mention.label,
                box=mention.box,
                written=mention.written,
            )
            for mention, start in zip(mentions, placement.starts, strict=True)
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
        return self.in_format(num_images).grammar(text)

    def json_schema(self, num_images: int = 1) -> dict[str, Any]:
        """A JSON schema of the answers, for servers that know no grammar (``response_format: json_schema``).

        Weaker than the grammar: it cannot say that a mention stands in the text.

        Raises:
            ConfigError: Answers are not JSON.
        """
        if self.format != "json":
            raise ConfigError(
                f"answers as {self.format} have no JSON schema: constrain them by a grammar (--constraint grammar), "
                "or tune with answer.format: json"
            )
        return Json(self, num_images).schema()

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
