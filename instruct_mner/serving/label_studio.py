"""Routes of a Label Studio ML backend: spans and rectangles of a model as pre-annotations; nothing is trained here.

Source: https://labelstud.io/guide/ml_create and https://github.com/HumanSignal/label-studio-ml-backend
(``label_studio_ml/api.py``).
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

# Not inside of functions: FastAPI looks up annotations here, and this module is itself imported late.
from fastapi import FastAPI, Request
from pydantic import BaseModel, Field, StringConstraints

from instruct_mner.data.exporting.label_studio import results_of
from instruct_mner.schema.certainty import certainty
from instruct_mner.serving.entities_models import EntitiesResponse, Post, PostError, PostsRequest
from instruct_mner.serving.label_config import LabelConfig, read_label_config
from instruct_mner.serving.limits import RefusedError
from instruct_mner.serving.request_log import request_id
from instruct_mner.serving.task_pictures import TaskPicture

if TYPE_CHECKING:
    from instruct_mner.serving.entities_route import EntityService
    from instruct_mner.serving.places import Rates
    from instruct_mner.serving.task_pictures import TaskPictures

_log = logging.getLogger(__name__)
_NO_ADDRESS = "it is an address, which is not fetched; send a data URL, or start serve with --label-studio URL"

Interface = Annotated[str, StringConstraints(max_length=100_000)]


class Task(BaseModel):
    """A task; other fields than its data are not read.

    Attributes:
        data: Fields of the task.
    """

    data: dict[str, object]


class SetupRequest(BaseModel):
    """Project that a backend is connected to.

    Attributes:
        interface: Labelling interface of the project, as XML; ``schema`` in the body.
    """

    interface: Interface | None = Field(default=None, alias="schema")


class SetupResponse(BaseModel):
    """Version of the model: the name under which it is served."""

    model_version: str


class PredictRequest(BaseModel):
    """Tasks that need pre-annotations.

    Attributes:
        tasks: Tasks of the project.
        label_config: Labelling interface of the project, as XML.
    """

    tasks: Annotated[list[Task], Field(min_length=1, max_length=1024)]
    label_config: Interface | None = None


class TaskPrediction(BaseModel):
    """Pre-annotation of a task.

    Attributes:
        result: Spans, rectangles in per cent of the sides of the picture, and relations between them.
        score: Certainty of the answer, by which Label Studio sorts tasks: that of the least certain entity, 0 where
            items of the answer are no entities, 1 where there is none; left out of a task that was not answered.
        model_version: Name of the model.
        error: Reason why there is no result, or none on the picture.
    """

    result: list[dict[str, object]]
    score: float | None = None
    model_version: str
    error: str | None = None


class PredictResponse(BaseModel):
    """Pre-annotations in the order of the tasks."""

    results: list[TaskPrediction]
    model_version: str


class WebhookRequest(BaseModel):
    """Event of a project; nothing is learned from it.

    Attributes:
        action: Name of the event, such as ``ANNOTATION_CREATED``.
    """

    action: Annotated[str, StringConstraints(max_length=200)]


class WebhookResponse(BaseModel):
    """Answer to an event: its name, and that nothing is trained."""

    status: str


def add_label_studio(
    app: FastAPI,
    service: EntityService,
    rates: Rates,
    pictures: TaskPictures | None,
    *,
    errors: dict[int | str, dict[str, object]],
    locked: Sequence[object],
) -> None:
    """Add the routes of a Label Studio ML backend; ``/health`` is that of the gateway.

    Args:
        app: Application of the gateway.
        service: Service that answers posts.
        rates: Rates of clients.
        pictures: Reader of the pictures of tasks; ``None``: no address is followed.
        errors: Errors of a route, for the description.
        locked: Dependencies of a route that needs a key.
    """
    settings: Mapping[str, object] = {"responses": errors, "dependencies": locked}

    @app.post("/setup", operation_id="label_studio_setup", **settings)  # type: ignore[arg-type]
    async def setup(body: SetupRequest) -> SetupResponse:
        """Connect a project of Label Studio; its interface must have labels for spans of a text."""
        if body.interface is not None:
            read_label_config(body.interface)
        return SetupResponse(model_version=service.first_model)

    @app.post(
        "/predict",
        operation_id="label_studio_predict",
        response_model_exclude_none=True,
        **settings,  # type: ignore[arg-type]
    )
    async def predict(body: PredictRequest, request: Request) -> PredictResponse:
        """Pre-annotate tasks of Label Studio; pictures are data URLs, or files of the one Label Studio it is set to."""
        rates.charge(request.state.client, len(body.tasks) - 1)
        return await predictions(service, body, request_id(request.scope), pictures)

    @app.post("/webhook", status_code=201, operation_id="label_studio_webhook", **settings)  # type: ignore[arg-type]
    async def webhook(body: WebhookRequest) -> WebhookResponse:
        """Take an event of Label Studio; a model is trained by `finetune`, not by events."""
        return WebhookResponse(status=f"{body.action}: nothing is trained here")


async def predictions(
    service: EntityService, body: PredictRequest, request: str | None, pictures: TaskPictures | None = None
) -> PredictResponse:
    """Return the pre-annotation of each task.

    Args:
        service: Service that answers posts.
        body: Tasks and labelling interface.
        request: Id of the request, for errors.
        pictures: Reader of the pictures of tasks; ``None``: no address is followed.

    Raises:
        RefusedError: The interface cannot be read, there are too many tasks, or none has a text.
        BusyError: No task can be answered now.
        ServingError: No task can be answered, because vLLM is not there.
    """
    config = read_label_config(body.label_config)
    model = service.first_model
    service.check_number(len(body.tasks))
    async with _posts(body.tasks, config, pictures, takes_pictures=service.takes_pictures(model)) as posts:
        known = [post for post, _ in posts if post is not None]
        if not known:
            raise RefusedError(422, f"no task has a text in its field {config.text_field!r}")
        labels = None if set(config.labels) <= set(service.labels_of(model)) else list(config.labels)
        answers = iter((await service.answer_all(PostsRequest(posts=known, labels=labels, model=model), request)).posts)
        results = []
        for post, note in posts:
            answer = None if post is None else next(answers)
            if post is None or answer is None or isinstance(answer, PostError):
                error = answer.error.message if isinstance(answer, PostError) else note
                results.append(TaskPrediction(result=[], model_version=model, error=error))
                continue
            results.append(await _prediction(service, post, answer, config, note))
        return PredictResponse(results=results, model_version=model)


async def _prediction(
    service: EntityService, post: Post, answer: EntitiesResponse, config: LabelConfig, note: str | None
) -> TaskPrediction:
    # Only the labels of the interface can be shown in it.
    entities = [each for each in answer.entities if not config.labels or each.label in config.labels]
    size = (await service.picture_sizes(post.images))[0] if post.images and config.has_rectangles else None
    return TaskPrediction(
        result=[dict(each) for each in results_of(entities, size, config.tags)],
        score=certainty(entities, answer.rejected),
        model_version=answer.model,
        error=note,
    )


@asynccontextmanager
async def _posts(
    tasks: Sequence[Task], config: LabelConfig, pictures: TaskPictures | None, *, takes_pictures: bool
) -> AsyncIterator[list[tuple[Post | None, str | None]]]:
    """Hold the post of each task, and what is to be said of it; ``None`` where the task has no text."""
    sources = [_source(task, config, takes_pictures=takes_pictures) for task in tasks]
    addresses = list(dict.fromkeys(each for each in sources if isinstance(each, str) and not _is_data(each)))
    if not addresses or pictures is None:
        unread = TaskPicture(reason=_NO_ADDRESS)
        yield _with_pictures(tasks, sources, config, dict.fromkeys(addresses, unread))
        return
    async with pictures.held(addresses) as read:
        yield _with_pictures(tasks, sources, config, dict(zip(addresses, read, strict=True)))


def _with_pictures(
    tasks: Sequence[Task],
    sources: Sequence[str | TaskPicture],
    config: LabelConfig,
    read: Mapping[str, TaskPicture],
) -> list[tuple[Post | None, str | None]]:
    posts: list[tuple[Post | None, str | None]] = []
    unseen = []
    for task, source in zip(tasks, sources, strict=True):
        text = task.data.get(config.text_field)
        if not isinstance(text, str):
            posts.append((None, f"the task has no text in its field {config.text_field!r}"))
            continue
        picture = source if isinstance(source, TaskPicture) else read.get(source, TaskPicture(content=source))
        note = _note(task, picture, config)
        unseen += [] if note is None else [picture.reason or "of several, one is read"]
        posts.append((Post(text=text, images=[] if picture.content is None else [picture.content]), note))
    if unseen:
        # Without the notes, which hold names of fields: tasks and interface are the client's.
        _log.warning("/predict: of %d task(s) a picture was not seen: %s", len(unseen), unseen[0])
    return posts


def _source(task: Task, config: LabelConfig, *, takes_pictures: bool) -> str | TaskPicture:
    """Return the picture of a task as the task holds it, or why there is none to read."""
    held = None if config.image_field is None else task.data.get(config.image_field)
    if not held:
        return TaskPicture()
    if not takes_pictures:
        return TaskPicture(reason="the model takes none")
    if isinstance(held, str):
        return held
    return TaskPicture(reason=f"its field holds no text, but a value of the type {type(held).__name__}")


def _note(task: Task, picture: TaskPicture, config: LabelConfig) -> str | None:
    """Return what is to be said of the pictures of a task that were not seen."""
    further = [repr(name) for name in config.further_image_fields if task.data.get(name)]
    if picture.reason is not None:
        return f"the picture of {config.image_field!r} was not seen, the text alone is read: {picture.reason}"
    if further:
        return f"one picture is read, that of {config.image_field!r}; not seen: {', '.join(further)}"
    return None


def _is_data(source: str) -> bool:
    return source[:5].lower() == "data:"
