"""``POST /v1/entities``: a post goes in, its entities come out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from instruct_mner.engines.fallback import after_failure, unconstrained
from instruct_mner.errors import MnerError, ServingError
from instruct_mner.schema.choices import Segmentation
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Context, Example, PredictedEntity, Rejected
from instruct_mner.serving.limits import Limits, RefusedError
from instruct_mner.tagging.post_questions import post_questions

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from PIL.Image import Image

    from instruct_mner.engines.endpoint import EndpointEngine
    from instruct_mner.engines.engine import Completion, Request
    from instruct_mner.serving.metrics import Counters
    from instruct_mner.serving.pictures import PictureReader
    from instruct_mner.tagging.post_questions import PostQuestions
    from instruct_mner.tagging.tagger import Tagger

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Definition = Annotated[str, StringConstraints(max_length=2000)]


class EntitiesRequest(BaseModel):
    """A post.

    Attributes:
        text: Text of the post.
        images: Pictures of the post, as base64 or as data URLs.
        labels: Entity types, where they are not those of the tuning: names, or names with definitions.
        context: Description of the pictures in words, for models that were tuned with it.
        segmentation: Places where a mention may begin and end: ``words`` (and every character of scripts without
            spaces) or ``characters`` (anywhere); without it, as tuned.
        model: Name of the served model; without it the first.
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
        model: Name of the model that answered.
        entities: Entities in text order. Offsets are characters, end exclusive; boxes are pixels of the picture that
            was sent, ``null`` where the model writes none, empty where an entity is not seen.
        rejected: Items of the model's answer that were no entity.
        windows: Number of windows that the text was cut into because it does not fit into the model's context.
    """

    model: str
    entities: list[PredictedEntity]
    rejected: Rejected
    windows: int = 1


class EntityService:
    """Service that answers posts with the taggers of the served models.

    Args:
        taggers: Tagger and engine of each model; the first answers where a request names none.
        client: Connection to vLLM.
        limits: Limits of requests.
        counters: Counters of entities.
        pictures: Decoder of pictures.
    """

    def __init__(
        self,
        taggers: Mapping[str, tuple[Tagger, EndpointEngine]],
        client: AsyncOpenAI,
        limits: Limits,
        counters: Counters,
        pictures: PictureReader,
    ) -> None:
        self._taggers = dict(taggers)
        self._client = client
        self._limits = limits
        self._counters = counters
        self._pictures = pictures

    async def answer(self, post: EntitiesRequest) -> EntitiesResponse:
        """Return the entities of a post. Grammars are built in threads.

        Raises:
            RefusedError: The request cannot be answered, by the fault of who sent it.
            BusyError: Too much is under way.
            ServingError: vLLM cannot answer.
        """
        name = post.model if post.model is not None else next(iter(self._taggers))
        if name not in self._taggers:
            raise RefusedError(404, f"there is no model {name!r:.80}; there are {', '.join(self._taggers)}")
        tagger, engine = self._taggers[name]
        self._check(post, tagger)
        async with self._pictures.images(post.images) as images:
            questions = await asyncio.to_thread(_questions, tagger, post, images)
            try:
                completions = [await self._complete(engine, question.request) for question in questions.questions]
            except ServingError as error:
                if error.status is not None and 400 <= error.status < 500:
                    raise RefusedError(422, f"the model cannot take this post: {error.response}") from None
                raise
        prediction = await asyncio.to_thread(questions.read, tagger.questions, completions)
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

    def _check(self, post: EntitiesRequest, tagger: Tagger) -> None:
        texts = [post.text]
        if post.context is not None:
            texts += [post.context.caption or "", post.context.ocr or "", *post.context.tags]
        if sum(map(len, texts)) > self._limits.text_characters:
            raise RefusedError(413, f"the text is longer than the {self._limits.text_characters} characters allowed")
        if post.labels is None and tagger.labels is None:
            raise RefusedError(422, "this model was not tuned and does not know which types to look for: give labels")
        if post.labels is not None and len(post.labels) > self._limits.num_labels:
            raise RefusedError(422, f"more labels than the {self._limits.num_labels} allowed")
        most = tagger.manifest.max_images
        if len(post.images) > most:
            raise RefusedError(422, f"{len(post.images)} pictures; this model takes at most {most} with a post")


def _questions(tagger: Tagger, post: EntitiesRequest, images: tuple[Image, ...]) -> PostQuestions:
    names = tuple(str(number) for number in range(len(images)))
    example = Example(id="post", text=post.text, images=names, context=post.context)
    try:
        labels = None if post.labels is None else LabelSet.of(post.labels)
        tagger = tagger.with_segmentation(post.segmentation)
        return post_questions(tagger.questions, example, images, tagger.answer_spec(labels))
    except ValidationError as error:
        raise RefusedError(422, "; ".join(str(each["msg"]) for each in error.errors())) from None
    except MnerError as error:
        raise RefusedError(422, str(error)) from None
