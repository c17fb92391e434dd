"""The gateway: what strangers talk to. Its own route, OpenAI's routes of vLLM, health and metrics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

# Not inside of functions: FastAPI looks up annotations here, and this module is itself imported late.
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from fastapi.security import HTTPBearer
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from instruct_mner import __version__
from instruct_mner.errors import ServingError
from instruct_mner.serving.entities_route import EntitiesRequest, EntitiesResponse, EntityService
from instruct_mner.serving.json_body import JsonRoute, describe_problems
from instruct_mner.serving.keys import Keys
from instruct_mner.serving.lifecycle import Lifecycle
from instruct_mner.serving.limits import BusyError, Limits, RefusedError
from instruct_mner.serving.metrics import Counters
from instruct_mner.serving.middleware import Admission, error_body
from instruct_mner.serving.openai_bodies import ChatBody, CompletionBody
from instruct_mner.serving.openai_routes import Upstream


class ErrorDetail(BaseModel):
    """Reason of an error."""

    message: str
    type: str
    param: str | None = None
    code: int


class ErrorResponse(BaseModel):
    """An error, as OpenAI's API writes it."""

    error: ErrorDetail


class Model(BaseModel):
    """A model, as OpenAI's API lists it."""

    id: str
    object: str = "model"
    created: int = 0
    owned_by: str = "instruct-mner"


class ModelList(BaseModel):
    """The models that are served; the first is used where ``/v1/entities`` names none."""

    object: str = "list"
    data: list[Model]


class Health(BaseModel):
    """State of the server."""

    status: str


_DESCRIPTIONS = {
    400: "The body is not JSON, or vLLM refuses the request",
    401: "The API key is missing or wrong",
    404: "There is no such model",
    408: "The body did not come in time",
    413: "The body or the text is too large",
    422: "A field, a picture or a label cannot be used",
    429: "Too many requests are under way",
    503: "vLLM is not there or has failed, or too much is under way: try again after Retry-After",
}


def build_gateway(
    service: EntityService,
    upstream: Upstream,
    counters: Counters,
    *,
    keys: Keys | None,
    limits: Limits,
    is_running: Callable[[], bool],
    lifecycle: Lifecycle,
    on_known: Callable[[tuple[str, int] | None], None] = lambda client: None,
    probe: Callable[[], Awaitable[bool]] | None = None,
    close: Callable[[], Awaitable[None]] | None = None,
) -> FastAPI:
    """Return the application of the gateway.

    Args:
        service: Service that answers posts.
        upstream: vLLM.
        counters: Counters of requests.
        keys: Keys of clients; ``None`` = anybody may ask.
        limits: Limits of requests.
        is_running: Function that tells whether vLLM is there.
        lifecycle: State of the server.
        on_known: Function that gets the address of a client that has sent a right key.
        probe: Function that returns whether the engine writes a token; it is called again and again.
        close: Function that is called at the end.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watcher = None if probe is None else asyncio.create_task(lifecycle.watch(probe))
        yield
        if watcher is not None:
            watcher.cancel()
        if close is not None:
            await close()

    app = FastAPI(title="instruct-mner", version=__version__, redoc_url=None, lifespan=lifespan)
    app.router.route_class = JsonRoute
    errors = _errors(400, 401, 404, 408, 413, 422, 429, 503)
    # The middleware checks the key; this only says so in the description.
    locked = [] if keys is None else [Depends(HTTPBearer(auto_error=False))]

    @app.post("/v1/entities", responses=errors, dependencies=locked, operation_id="find_entities")
    async def find_entities(post: EntitiesRequest) -> EntitiesResponse:
        """Find the entities of a post."""
        return await service.answer(post)

    @app.post("/v1/chat/completions", responses={**_ANYTHING, **errors}, dependencies=locked, operation_id="chat")
    async def chat(body: ChatBody) -> Response:
        """Answer as OpenAI's chat completions do, with vLLM's `structured_outputs`; streaming as well."""
        return await upstream.chat(body)

    @app.post("/v1/completions", responses={**_ANYTHING, **errors}, dependencies=locked, operation_id="complete")
    async def complete(body: CompletionBody) -> Response:
        """Complete a text as OpenAI's completions do."""
        return await upstream.complete(body)

    @app.get("/v1/models", responses=_errors(401, 413, 429), dependencies=locked, operation_id="list_models")
    async def list_models() -> ModelList:
        """List the models that are served."""
        return ModelList(data=[Model(id=name) for name in upstream.names])

    @app.get("/health", responses=_errors(503), operation_id="health")
    async def health() -> Health:
        """Tell that posts can be answered."""
        if not is_running() or not lifecycle.is_ready or (await upstream.get("/health")).status_code != 200:
            raise ServingError("vLLM is not healthy")
        return Health(status="ok")

    @app.get("/livez", operation_id="live")
    async def live() -> Health:
        """Tell that the gateway itself is there."""
        return Health(status="ok")

    @app.get("/readyz", responses=_errors(503), operation_id="ready")
    async def ready() -> Health:
        """Tell that requests are taken, and that the engine has written a token in the last seconds."""
        if not is_running() or not lifecycle.is_ready:
            raise ServingError("vLLM is not ready")
        return Health(status="ok")

    @app.get(
        "/metrics",
        responses=_errors_as_json(401, 413, 429, 503),
        dependencies=locked,
        response_class=PlainTextResponse,
        operation_id="metrics",
    )
    async def metrics() -> PlainTextResponse:
        """Return the gateway's own counts, and vLLM's metrics, for Prometheus."""
        theirs = await upstream.get("/metrics")
        return PlainTextResponse(counters.text() + bytes(theirs.body).decode())

    def failed(_: Request, error: Any) -> JSONResponse:
        status, message = _status_and_message(error)
        headers = getattr(error, "headers", None)
        if status == 503:
            headers = {"retry-after": str(getattr(error, "seconds", 5))}
        return JSONResponse(error_body(status, message), status, headers=headers)

    _handle_errors(app, failed)
    _name_models(app, upstream.names)
    app.add_middleware(Admission, keys=keys, limits=limits, counters=counters, lifecycle=lifecycle, on_known=on_known)
    return app


_ANYTHING: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "As OpenAI's API answers; with `stream`, server-sent events",
        "content": {"application/json": {"schema": {"type": "object"}}, "text/event-stream": {}},
    }
}


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorResponse, "description": _DESCRIPTIONS[status]} for status in statuses}


def _errors_as_json(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the errors of a route whose answers are no JSON."""
    schema = {"$ref": f"#/components/schemas/{ErrorResponse.__name__}"}
    return {
        status: {"description": _DESCRIPTIONS[status], "content": {"application/json": {"schema": schema}}}
        for status in statuses
    }


def _name_models(app: FastAPI, names: Sequence[str]) -> None:
    """Write into the description which models there are."""
    schemas = app.openapi()["components"]["schemas"]
    for body in (EntitiesRequest, ChatBody, CompletionBody):
        field = schemas[body.__name__]["properties"]["model"]
        for kind in field.get("anyOf", [field]):
            if kind["type"] == "string":
                kind["enum"] = list(names)


def _handle_errors(app: FastAPI, failed: Callable[..., Any]) -> None:
    for kind in (RefusedError, BusyError, ServingError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, failed)


def _status_and_message(error: Any) -> tuple[int, str]:
    """Return the status and the message of an error."""
    if isinstance(error, RefusedError):
        return error.status, str(error)
    if isinstance(error, BusyError):
        return 503, str(error)
    if isinstance(error, ServingError):
        # Not its message: it names addresses of ours.
        return 503, "the model failed to answer" if error.status is not None else "the model is not there"
    if isinstance(error, RequestValidationError):
        return 422, describe_problems(error.errors(), error.body)
    if isinstance(error, HTTPException):
        return error.status_code, str(error.detail)
    return 500, "the gateway failed; its log says why"
