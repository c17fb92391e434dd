"""Answers, written and read: render, parse, and the grammar that admits nothing but what parses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from instruct_mner.answers.answer import Answer, AnswerEntity, Format
from instruct_mner.answers.inline import Inline
from instruct_mner.answers.json_array import Json
from instruct_mner.answers.lines import Lines
from instruct_mner.answers.spec import AnswerSpec, FormatName
from instruct_mner.errors import ConfigError
from instruct_mner.schema.offsets import place
from instruct_mner.schema.records import Entity, Rejected

_FORMATS: Mapping[FormatName, type[Lines] | type[Json] | type[Inline]] = {
    "lines": Lines,
    "json": Json,
    "inline": Inline,
}


def in_format(spec: AnswerSpec, num_images: int = 1) -> Format:
    """Return the format of a specification, for a post with so many pictures."""
    return _FORMATS[spec.format](spec, num_images)


def render(spec: AnswerSpec, text: str, entities: Sequence[Entity], num_images: int = 1) -> str:
    """Write the gold answer.

    Args:
        spec: The specification of the answer.
        text: The text as shown to the model.
        entities: Gold in text order, boxes in model units.
        num_images: Number of pictures of the post; with several, a box begins with the number of its picture.
    """
    return in_format(spec, num_images).render(text, entities)


def parse(spec: AnswerSpec, text: str, completion: str, num_images: int = 1, *, finished: bool = True) -> Answer:
    """Read a completion; never raises.

    Args:
        spec: The specification of the answer.
        text: The text as shown to the model.
        completion: The text that the model wrote.
        num_images: Number of pictures of the post.
        finished: False where the completion was cut; that counts as one malformed item.
    """
    form = in_format(spec, num_images)
    if isinstance(form, Inline):
        return form.parse(text, completion, finished=finished)
    mentions, malformed = form.read(completion, finished=finished)
    placement = place(text, [mention.surface for mention in mentions], spec.segmentation)
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


def grammar(spec: AnswerSpec, text: str, num_images: int = 1) -> str:
    """Return a Lark grammar, in llguidance's dialect, of the answers that may be given on a text."""
    return in_format(spec, num_images).grammar(text)


def json_schema(spec: AnswerSpec, num_images: int = 1) -> dict[str, Any]:
    """Return a JSON schema of the answers, for servers that know no grammar (``response_format: json_schema``).

    Weaker than the grammar: it cannot say that a mention stands in the text.

    Raises:
        ConfigError: Answers are not JSON.
    """
    if spec.format != "json":
        raise ConfigError(
            f"answers as {spec.format} have no JSON schema: constrain them by a grammar (--constraint grammar), "
            "or tune with answer.format: json"
        )
    return Json(spec, num_images).schema()
