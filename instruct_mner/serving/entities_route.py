"""``POST /v1/entities``: a post goes in, its entities come out; or several, each with an answer or an error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import ValidationError

from instruct_mner.engines.fallback import after_failure, unconstrained
from instruct_mner.errors import MnerError, ModelError, ServingError, UnreachableError
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Example
from instruct_mner.schema.validation_messages import reasons
from instruct_mner.serving.entities_models import (
    EntitiesRequest,
    EntitiesResponse,
    EntitiesSettings,
    PostError,
    PostsRequest,
    PostsResponse,
)
from instruct_mner.serving.http_models import error_of
from instruct_mner.serving.limits import BusyError, Limits, RefusedError
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

# Posts of one request that are under way at once.
_AT_ONCE = 16
# Posts whose grammars are built at once. More threads would build no sooner, and what is built in a thread for a client
# that has gone is built to its end: it keeps the processor from those who end its requests.
_BUILT_AT_ONCE = 2


class EntityService:
    """Service that answers posts with the taggers of the served models.

    Args:
        taggers: Tagger and engine of each model; the first answers where a request names none.
        client: Connection to vLLM.
        limits: Limits of requests.
        counters: Counters of entities.
        pictures: Decoder of pictures.
        on_token: Function that is called when vLLM has answered.
        pictureless: Tagger and engine of models that answer posts without a picture in another way.
    """

    def __init__(
        self,
        taggers: Mapping[str, tuple[Tagger, EndpointEngine]],
        client: AsyncOpenAI,
        limits: Limits,
        counters: Counters,
        pictures: PictureReader,
        on_token: Callable[[], None] = lambda: None,
        pictureless: Mapping[str, tuple[Tagger, EndpointEngine]] | None = None,
    ) -> None:
        self._taggers = dict(taggers)
        self._pictureless = self._taggers | dict(pictureless or {})
        self._client = client
        self._limits = limits
        self._counters = counters
        self._pictures = pictures
        self._on_token = on_token
        # Posts count, however many come in a request.
        self._places = asyncio.Semaphore(max(1, limits.concurrency))
        self._building = asyncio.Semaphore(_BUILT_AT_ONCE)

    def check_number(self, num_posts: int) -> None:
        """Refuse a request with too many posts.

        Raises:
            RefusedError: There are too many.
        """
        if num_posts > self._limits.num_posts:
            raise RefusedError(413, f"{num_posts} posts, more than the {self._limits.num_posts} allowed")

    async def answer_all(self, request: PostsRequest, request_id: str | None) -> PostsResponse:
        """Return the answer to each post, or its error.

        Args:
            request: Posts and settings.
            request_id: Id of the request, for errors.

        Raises:
            RefusedError: There are too many posts, or no model of that name.
            BusyError: No post can be answered now, because too much is under way.
            ServingError: No post can be answered, because vLLM is not there.
        """
        self.check_number(len(request.posts))
        name = self._model(request)
        settings = {field: getattr(request, field) for field in EntitiesSettings.model_fields}
        # They are checked already; a copy would check their texts again.
        posts = [EntitiesRequest.model_construct(**dict(post), **settings) for post in request.posts]
        at_once = asyncio.Semaphore(_AT_ONCE)

        async def one(post: EntitiesRequest) -> EntitiesResponse | RefusedError | BusyError | ServingError:
            async with at_once:
                try:
                    return await self.answer(post)
                except (RefusedError, BusyError, ServingError) as error:
                    return error

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(post)) for post in posts]
        results = [task.result() for task in tasks]
        passing = [each for each in results if isinstance(each, BusyError | ServingError)]
        if len(passing) == len(results):
            raise passing[0]
        return PostsResponse(
            model=name,
            posts=[each if isinstance(each, EntitiesResponse) else _post_error(each, request_id) for each in results],
        )

    @property
    def first_model(self) -> str:
        """Name of the model that answers where a request names none."""
        return next(iter(self._taggers))

    def takes_pictures(self, name: str) -> bool:
        """Return whether a model is shown pictures."""
        return self._taggers[name][0].manifest.max_images > 0

    async def picture_sizes(self, sources: Sequence[str]) -> list[tuple[int, int]]:
        """Return width and height of each picture of a request, in pixels; errors as of :meth:`answer`."""
        return await self._pictures.sizes(sources)

    def labels_of(self, name: str) -> dict[str, str | None]:
        """Return the entity types of a model's tuning, with their definitions; none of an untuned model."""
        if name not in self._taggers:
            return {}
        manifest = self._taggers[name][0].manifest
        return (
            {} if manifest.tuning == "none" else {each.name: each.definition for each in manifest.answer.labels.each()}
        )

    def _model(self, request: EntitiesSettings) -> str:
        name = request.model if request.model is not None else self.first_model
        if name not in self._taggers:
            raise RefusedError(404, f"there is no model {name!r:.80}; there are {', '.join(self._taggers)}")
        return name

    async def answer(self, post: EntitiesRequest) -> EntitiesResponse:
        """Return the entities of a post. Grammars are built in threads.

        Raises:
            RefusedError: The request cannot be answered, by the fault of who sent it.
            BusyError: Too much is under way.
            ServingError: vLLM cannot answer.
        """
        name = self._model(post)
        tagger, engine = (self._taggers if post.images else self._pictureless)[name]
        self._check(post, tagger)
        async with self._places, self._pictures.images(post.images) as images:
            async with self._building:
                questions = await asyncio.to_thread(_questions, tagger, post, images)
            try:
                completions = [await self._complete(engine, question.request) for question in questions.questions]
            except ModelError as error:  # no picture can be generated from this text
                raise RefusedError(422, str(error)) from None
            except ServingError as error:
                if error.status is not None and 400 <= error.status < 500:
                    raise RefusedError(422, f"the model cannot take this post: {error.response}") from None
                raise
        self._on_token()
        prediction = (await asyncio.to_thread(questions.read, tagger.questions, completions)).above(post.threshold)
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
            raise RefusedError(422, f"labels: more than the {self._limits.num_labels} allowed")
        most = tagger.manifest.max_images
        if len(post.images) > most:
            raise RefusedError(422, f"{len(post.images)} pictures; this model takes at most {most} with a post")


def _questions(tagger: Tagger, post: EntitiesRequest, images: tuple[Image, ...]) -> PostQuestions:
    example = Example(id="post", text=post.text, context=post.context)
    try:
        labels = None if post.labels is None else LabelSet.of(post.labels)
        tagger = tagger.with_segmentation(post.segmentation)
        return post_questions(tagger.questions, example, images, tagger.answer_spec(labels))
    except ValidationError as error:
        raise RefusedError(422, "; ".join(reasons(error, Example))) from None
    except MnerError as error:
        raise RefusedError(422, str(error)) from None


def _post_error(error: RefusedError | BusyError | ServingError, request_id: str | None) -> PostError:
    status, message = status_and_message(error)
    return PostError(error=error_of(status, message, request_id).error)


def status_and_message(error: RefusedError | BusyError | ServingError) -> tuple[int, str]:
    """Return the status and the message that a client gets."""
    if isinstance(error, ServingError):
        # Not its message: it names addresses of ours.
        if error.status == 503:
            return 503, "the queue of the model is full; try again"
        return 503, "the model is not there" if isinstance(error, UnreachableError) else "the model failed to answer"
    return error.status, str(error)
