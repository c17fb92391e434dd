"""Predictions from completions: offsets, confidences, boxes in original pixels."""

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
from instruct_mner.scoring.calibration import Scaling

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, kw_only=True)
class DecodingInput:
    """Completion of a model, with all that turns it into a prediction.

    Attributes:
        text: Text of the post as the model read it.
        completion: Answer of the model.
        spec: Form of the answer on this post.
        manifest: Manifest with the units of boxes and the calibration.
        resized: Function that gives width and height of a picture after the processor's resize, where boxes are
            written in them.
    """

    text: str
    completion: Completion
    spec: AnswerSpec
    manifest: Manifest
    resized: Callable[[tuple[int, int]], tuple[int, int] | None]


def read_prediction(example: Example, images: Sequence[Image], decoding: DecodingInput) -> Prediction:
    """Return the prediction for one post.

    Args:
        example: Post.
        images: Pictures of the post that the model saw.
        decoding: Completion of the model, and how to read it.
    """
    spec, completion = decoding.spec, decoding.completion
    answer = codec.parse(spec, decoding.text, completion.text, len(images), finished=completion.finished)
    entities = tuple(
        PredictedEntity(
            start=entity.start,
            end=entity.end,
            text=example.text[entity.start : entity.end],
            label=entity.label,
            score=_score(entity, decoding),
            boxes=_pixel_boxes(entity, images, decoding) if spec.grounded else None,
        )
        for entity in answer.entities
    )
    rejected = answer.rejected
    if completion.failed and completion.finished:
        # Answered a second time, without the grammar that failed: the first answer is an item that is no entity.
        rejected = rejected.model_copy(update={"malformed": rejected.malformed + 1})
    return Prediction(
        id=example.id,
        text=example.text,
        images=example.images,
        entities=entities,
        rejected=rejected,
        meta=example.meta,
    )


def confidence(entity: AnswerEntity, completion: Completion) -> float:
    """Return the probability that an entity's label and mention are written: the product over their tokens.

    The tokens of a constrained answer have the probabilities that the grammar leaves them. Where the engine gives no
    probabilities the score is 1, the record's default.
    """
    if not completion.tokens:
        return 1.0
    logprobs = [
        token.logprob
        for token in completion.tokens
        if any(token.start < end and token.end > start for start, end in entity.written)
    ]
    return min(1.0, math.exp(sum(logprobs))) if logprobs else 0.0


def _score(entity: AnswerEntity, decoding: DecodingInput) -> float:
    """Return the confidence, scaled as the manifest says, where the engine gives probabilities."""
    score, calibration = confidence(entity, decoding.completion), decoding.manifest.calibration
    if calibration is None or not decoding.completion.tokens:
        return score
    return Scaling(temperature=calibration.temperature, shift=calibration.shift).apply_to(score)


def _pixel_boxes(entity: AnswerEntity, images: Sequence[Image], decoding: DecodingInput) -> tuple[Box, ...]:
    if entity.box is None:
        return ()
    size = images[entity.box.image].size
    convention = BoxConvention(decoding.manifest.box_convention, decoding.spec.box_limit)
    pixels = to_pixels(entity.box.box, size, convention, resized=decoding.resized(size))
    return (Box(image=entity.box.image, box=pixels),)
