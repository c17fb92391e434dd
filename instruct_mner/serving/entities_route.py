"""``POST /v1/entities``: a post goes in, its entities come out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from instruct_mner.engines.fallback import after_failure, unconstrained
from instruct_mner.errors import MnerError, ServingError
from instruct_mner.schema.choices import Segmentation
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Context, Example, PredictedEntity, Rejected
from instruct_mner.serving.limits import Limits, RefusedError, check_encodable, decode_picture
from instruct_mner.tagging.post_questions import post_questions

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from PIL.Image import Image

    from instruct_mner.engines.endpoint import EndpointEngine
    from instruct_mner.engines.engine import Completion, Request
    from instruct_mner.serving.metrics import Counters
    from instruct_mner.tagging.post_questions import PostQuestions
    from instruct_mner.tagging.tagger import Tagger

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Definition = Annotated[str, StringConstraints(max_length=2000)]
_MOST_DECODERS = 2


class EntitiesRequest(BaseModel):
    """A post.

    Attributes:
        text: Text of the post.
        images: Pictures of the post, as base64 or as data URLs.
        labels: The types to look for, where they are not those of the tuning: names, or names with definitions.
        context: Descriptions of the pictures, for models that were tuned with it.
        segmentation: Places where a mention may begin and end: ``words`` (and every character of scripts without
            spaces) or ``characters`` (anywhere); without it, as tuned.
        model: Which of the served models is asked; without it the first.
    """

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"text": "Ada meets Acme in Lagos"}]})

    text: str
    images: Annotated[list[str], Field(max_length=16)] = []
    labels: Annotated[list[Name] | dict[Name, Definition | None], Field(min_length=1)] | None = None
    context: Context | None = None
    segmentation: Segmentation | None = None
    model: str | None = None


class EntitiesResponse(BaseModel):
    """Entities of a post.

    Attributes:
        model: Name of the model that found them.
        entities: Entities in text order. Offsets are characters, end exclusive; boxes are pixels of the
            picture that was sent,
            ``null`` where none were asked for, empty where an entity is not seen.
        rejected: Items of the model's answer that were no entity.
        windows: Number of windows that the text was cut into because it does not fit into the model's context.
    """

    model: str
    entities: list[PredictedEntity]
    rejected: Rejected
    windows: int = 1


class EntityService:
    """Answers posts with the taggers of the served models.

    Args:
        taggers: A tagger and its engine for each model; the first is used where none is named.
        client: The connection to vLLM.
        limits: Limits of a post.
        counters: Counters of requests and entities.
    """

    def __init__(
        self,
        taggers: Mapping[str, tuple[Tagger, EndpointEngine]],
        client: AsyncOpenAI,
        limits: Limits,
        counters: Counters,
    ) -> None:
        self._taggers = dict(taggers)
        self._client = client
        self._limits = limits
        self._counters = counters
        # Each may hold a picture of the largest size several times.
        self._decoders = asyncio.Semaphore(_MOST_DECODERS)

    async def answer(self, request: EntitiesRequest) -> EntitiesResponse:
        """Return the entities of a post. Pictures are decoded, and grammars built, in threads.

        Raises:
            RefusedError: The request cannot be answered, by the fault of who sent it.
            ServingError: vLLM cannot answer.
        """
        name = request.model if request.model is not None else next(iter(self._taggers))
        if name not in self._taggers:
            raise RefusedError(404, f"there is no model {name!r:.80}; there are {', '.join(self._taggers)}")
        tagger, engine = self._taggers[name]
        self._check(request, tagger)
        images = []
        for number, source in enumerate(request.images, start=1):
            async with self._decoders:
                images.append(await asyncio.to_thread(decode_picture, source, number, self._limits))
        posted = await asyncio.to_thread(_questions, tagger, request, tuple(images))
        try:
            completions = [await self._complete(engine, question.request) for question in posted.questions]
        except ServingError as error:
            if error.status is not None and 400 <= error.status < 500:
                raise RefusedError(422, f"the model cannot take this post: {error.response}") from None
            raise
        prediction = await asyncio.to_thread(posted.read, tagger.questions, completions)
        self._counters.note_prediction(name, prediction, frozenset(tagger.manifest.answer.labels.names))
        return EntitiesResponse(
            model=name,
            entities=list(prediction.entities),
            rejected=prediction.rejected,
            windows=prediction.windows or 1,
        )

    async def _complete(self, engine: EndpointEngine, request: Request) -> Completion:
        """Return the answer to a question; without its grammar, where that fails."""
        completion = await engine.answer(self._client, request)
        if completion.failed:
            return after_failure(await engine.answer(self._client, unconstrained(request)))
        return completion

    def _check(self, request: EntitiesRequest, tagger: Tagger) -> None:
        texts = [request.text]
        if request.context is not None:
            texts += [request.context.caption or "", request.context.ocr or "", *request.context.tags]
        if sum(map(len, texts)) > self._limits.text_characters:
            raise RefusedError(413, f"the text is longer than the {self._limits.text_characters} characters allowed")
        names = json.dumps(request.labels, ensure_ascii=False)
        check_encodable("".join([*texts, names]))
        if request.labels is None and tagger.labels is None:
            raise RefusedError(422, "this model was not tuned and does not know which types to look for: give labels")
        if request.labels is not None and len(request.labels) > self._limits.num_labels:
            raise RefusedError(422, f"more labels than the {self._limits.num_labels} allowed")
        most = tagger.manifest.max_images
        if len(request.images) > most:
            raise RefusedError(422, f"{len(request.images)} pictures; this model takes at most {most} with a post")


def _questions(tagger: Tagger, request: EntitiesRequest, images: tuple[Image, ...]) -> PostQuestions:
    names = tuple(str(number) for number in range(len(images)))
    post = Example(id="post", text=request.text, images=names, context=request.context)
    try:
        labels = None if request.labels is None else LabelSet.of(request.labels)
        tagger = tagger.with_segmentation(request.segmentation)
        return post_questions(tagger.questions, post, images, tagger.answer_spec(labels))
    except ValidationError as error:
        raise RefusedError(422, "; ".join(str(each["msg"]) for each in error.errors())) from None
    except MnerError as error:
        raise RefusedError(422, str(error)) from None
