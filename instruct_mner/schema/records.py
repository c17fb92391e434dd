"""The records that travel through the package: frozen, and checked when they are made.

One example, as a line of JSONL::

    {"id": "1015799", "text": "RT @JayKenMinaj _ : Me outside of where George Zimmerman got shot at .",
     "images": ["1015799.jpg"],
     "entities": [{"start": 40, "end": 56, "text": "George Zimmerman", "label": "PER",
                   "boxes": [{"image": 0, "box": [12, 40, 88, 97]}]}]}

Offsets are characters, end exclusive. Boxes are pixels of the original picture, ``[x0, y0, x1, y1]``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticKnownError

from instruct_mner.schema.labels import why_no_label
from instruct_mner.schema.record import Record


def _no_flag(value: object) -> object:
    """Refuse ``true`` and ``false`` for a number, which pydantic takes as 1 and 0."""
    if isinstance(value, bool):
        raise PydanticKnownError("float_type")
    return value


_Number = Annotated[int | float, BeforeValidator(_no_flag)]
Coordinates = tuple[_Number, _Number, _Number, _Number]
_Count = Annotated[int, Field(ge=0), BeforeValidator(_no_flag)]


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Identifier = Annotated[str, BeforeValidator(_as_text), Field(min_length=1)]


class Box(Record):
    """A rectangle on one picture of a post.

    Attributes:
        image: Index of the picture in ``Example.images``.
        box: ``(x0, y0, x1, y1)``, pixels of the original picture, ``x0 < x1`` and ``y0 < y1``.
    """

    image: _Count = 0
    box: Coordinates

    @model_validator(mode="after")
    def _check(self) -> Self:
        x0, y0, x1, y1 = self.box
        if not all(math.isfinite(value) for value in self.box):
            raise ValueError(f"box {list(self.box)} holds a number that is not finite")
        if min(x0, y0) < 0 or x0 >= x1 or y0 >= y1:
            raise ValueError(f"box {list(self.box)} is not [x0, y0, x1, y1] with 0 <= x0 < x1 and 0 <= y0 < y1")
        return self

    @property
    def area(self) -> float:
        """Area in square pixels."""
        x0, y0, x1, y1 = self.box
        return float((x1 - x0) * (y1 - y0))


class Entity(Record):
    """A mention in the text.

    Attributes:
        start: First character.
        end: One past the last character.
        text: ``Example.text[start:end]``.
        label: Type of the entity.
        boxes: Regions in which it is seen: ``None`` = not annotated, ``()`` = annotated as not visible.
    """

    start: _Count
    end: Annotated[int, BeforeValidator(_no_flag)]
    text: str
    label: str = Field(min_length=1)
    boxes: tuple[Box, ...] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.end <= self.start:
            raise ValueError(f"entity {self.text!r} ends at {self.end}, not after its start {self.start}")
        if len(self.text) != self.end - self.start:
            raise ValueError(
                f"entity {self.text!r} has {len(self.text)} characters, "
                f"its offsets {self.start}:{self.end} span {self.end - self.start}"
            )
        if reason := why_no_label(self.label):
            raise ValueError(reason)
        return self


class PredictedEntity(Entity):
    """An entity that a model found.

    Attributes:
        score: Confidence in 0..1.
        boxes: At most one; ``None`` where boxes were not asked for.
    """

    score: Annotated[float, Field(ge=0.0, le=1.0), BeforeValidator(_no_flag)] = 1.0
    boxes: Annotated[tuple[Box, ...], Field(max_length=1)] | None = None


def _check_spans(text: str, num_images: int, entities: Sequence[Entity]) -> None:
    end = 0
    for entity in entities:
        if text[entity.start : entity.end] != entity.text:
            surface = text[entity.start : entity.end]
            raise ValueError(
                f"entity {entity.text!r} at {entity.start}:{entity.end} does not stand there: the text has {surface!r}"
            )
        if entity.start < end:
            raise ValueError(
                f"entity {entity.text!r} at {entity.start}:{entity.end} overlaps the one before it; "
                "entities must be flat"
            )
        end = entity.end
        for box in entity.boxes or ():
            if box.image >= num_images:
                raise ValueError(
                    f"entity {entity.text!r} has a box on picture {box.image}, the post has {num_images} picture(s); "
                    "name its pictures in 'images', or take the box out"
                )


def _check_tokens(text: str, tokens: Sequence[str]) -> None:
    """Refuse tokens that are not the text's: joined with spaces, with nothing, or with any white space between."""
    if " ".join(tokens) == text or "".join(tokens) == text:
        return
    position = 0
    for number, token in enumerate(tokens, start=1):
        start = text.find(token, position)
        if start < 0 or text[position:start].strip():
            raise ValueError(f"token {number}, {token!r}, is not what the text goes on with: {text[position:][:30]!r}")
        position = start + len(token)
    if text[position:].strip():
        raise ValueError(f"the tokens end before the text, which goes on with {text[position:][:30]!r}")


def _in_text_order(entities: object) -> object:
    """Sort raw or made entities by start; leave anything else for pydantic to complain about."""

    def start(entity: Any) -> int:
        value = entity["start"] if isinstance(entity, Mapping) else entity.start
        if not isinstance(value, int):
            raise TypeError
        return value

    if isinstance(entities, list | tuple):
        try:
            return sorted(entities, key=start)
        except (KeyError, TypeError, AttributeError):
            return entities
    return entities


def unnamed_picture(index: int) -> str:
    """Return what stands in ``Example.images`` for a picture that is no file."""
    return f"picture {index}"


class Context(Record):
    """A picture in words (ITA's visual contexts)."""

    caption: str | None = None
    tags: tuple[str, ...] = ()
    ocr: str | None = None


class Example(Record):
    """One post, with gold entities where it is annotated.

    Attributes:
        id: Unique in its file.
        text: The post.
        images: Paths of its pictures, relative to the data set's picture folder; none, one or several.
        entities: Gold in text order, flat; ``None`` = not annotated, ``()`` = annotated as holding none.
        tokens: The tokens of a pre-tokenised set; joined they give ``text``.
        context: Captions, tags and OCR of the pictures.
        meta: Further columns of the data, which are carried into predictions and never shown to a model.
    """

    id: Identifier
    text: str
    images: tuple[str, ...] = ()
    entities: Annotated[tuple[Entity, ...], BeforeValidator(_in_text_order)] | None = None
    tokens: tuple[str, ...] | None = None
    context: Context | None = None
    meta: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_spans(self.text, len(self.images), self.entities or ())
        if self.tokens is not None:
            _check_tokens(self.text, self.tokens)
        return self

    @property
    def gold(self) -> tuple[Entity, ...]:
        """The annotated entities; a post that is not annotated is an error here, not an empty answer."""
        if self.entities is None:
            raise ValueError(f"post {self.id!r} is not annotated: it has no 'entities'")
        return self.entities

    def naming(self, num_images: int) -> Example:
        """Return the same post with names for at least so many pictures, as a box needs one for its picture."""
        if num_images <= len(self.images):
            return self
        further = map(unnamed_picture, range(len(self.images), num_images))
        return self.model_copy(update={"images": (*self.images, *further)})

    def without_images(self) -> Example:
        """Return the same post as text only: no pictures, hence no boxes."""
        entities = self.entities
        if entities is not None:
            entities = tuple(entity.model_copy(update={"boxes": None}) for entity in entities)
        return self.model_copy(update={"images": (), "entities": entities})


class UnnamedExample(Example):
    """A post whose id is its place in a call: one of the same id elsewhere is another post."""


class Rejected(Record):
    """Items of a completion that are no entities; each counts as a false positive.

    Attributes:
        malformed: Lines or objects that are no answer (an unknown label, no separator, a bad box, a cut end).
        hallucinated: Surfaces that are not in the text.
        unplaceable: Surfaces all of whose occurrences were taken already.
    """

    malformed: _Count = 0
    hallucinated: _Count = 0
    unplaceable: _Count = 0

    @property
    def total(self) -> int:
        """All of them together."""
        return self.malformed + self.hallucinated + self.unplaceable


class Prediction(Record):
    """Prediction of one post; a line of the JSONL that ``tag`` writes.

    Attributes:
        id: Name of the post.
        text: Text of the post.
        images: Pictures of the post.
        entities: Entities that were predicted, in text order.
        rejected: Items of the answer that are no entities.
        windows: Number of windows that the text was cut into because it does not fit into the model's context;
            ``None`` where it fits.
        meta: Further columns of the post, as they were read.
    """

    id: Identifier
    text: str
    images: tuple[str, ...] = ()
    entities: Annotated[tuple[PredictedEntity, ...], BeforeValidator(_in_text_order)] = ()
    rejected: Rejected = Rejected()
    windows: int | None = Field(default=None, ge=1)
    meta: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_spans(self.text, len(self.images), self.entities)
        return self

    def above(self, threshold: float) -> Prediction:
        """Without entities whose score is lower than a threshold; what was rejected stays counted."""
        kept = tuple(entity for entity in self.entities if entity.score >= threshold)
        return self if len(kept) == len(self.entities) else self.model_copy(update={"entities": kept})
