"""From a completion back to a prediction: offsets, confidences, boxes in original pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from instruct_mner.answers import codec
from instruct_mner.answers.answer import AnswerEntity
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.engines.engine import Completion
from instruct_mner.models.manifest import Manifest
from instruct_mner.schema.boxes import BoxConvention, to_pixels
from instruct_mner.schema.records import Box, Example, PredictedEntity, Prediction
from instruct_mner.scoring.calibration import scaled_score

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Reading:
    """What is needed to read a completion.

    Attributes:
        text: The text as the model was shown it.
        completion: What it wrote.
        spec: What it was asked for on this post.
        manifest: Its units of boxes.
        resized: Width and height of a picture after the processor's resize, where boxes are written in them.
    """

    text: str
    completion: Completion
    spec: AnswerSpec
    manifest: Manifest
    resized: Callable[[tuple[int, int]], tuple[int, int] | None]


def read_prediction(example: Example, images: Sequence[Image], reading: Reading) -> Prediction:
    """The prediction for one post.

    Args:
        example: The post.
        images: The pictures that the model was shown.
        reading: What it wrote, and how to read it.
    """
    spec, completion = reading.spec, reading.completion
    answer = codec.parse(spec, reading.text, completion.text, len(images), finished=completion.finished)
    entities = tuple(
        PredictedEntity(
            start=entity.start,
            end=entity.end,
            text=example.text[entity.start : entity.end],
            label=entity.label,
            score=_score(entity, reading),
            boxes=_pixel_boxes(entity, images, reading) if spec.grounded else None,
        )
        for entity in answer.entities
    )
    return Prediction(
        id=example.id, text=example.text, images=example.images, entities=entities, rejected=answer.rejected
    )


def confidence(entity: AnswerEntity, completion: Completion) -> float:
    """How probable it was that an entity's label and mention were written: the product over their tokens.

    The tokens of a constrained answer have the probabilities that the grammar leaves them. Where the engine says no
    probabilities there is none, and the score is 1, the record's default.
    """
    if not completion.tokens:
        return 1.0
    logprobs = [
        token.logprob
        for token in completion.tokens
        if any(token.start < end and token.end > start for start, end in entity.written)
    ]
    return min(1.0, math.exp(sum(logprobs))) if logprobs else 0.0


def _score(entity: AnswerEntity, reading: Reading) -> float:
    """The confidence, with the temperature of the manifest; where there are no probabilities there is none to scale."""
    score, calibration = confidence(entity, reading.completion), reading.manifest.calibration
    if calibration is None or not reading.completion.tokens:
        return score
    return scaled_score(score, calibration.temperature)


def _pixel_boxes(entity: AnswerEntity, images: Sequence[Image], reading: Reading) -> tuple[Box, ...]:
    if entity.box is None:
        return ()
    size = images[entity.box.image].size
    convention = BoxConvention(reading.manifest.box_convention, reading.spec.box_limit)
    pixels = to_pixels(entity.box.box, size, convention, resized=reading.resized(size))
    return (Box(image=entity.box.image, box=pixels),)
