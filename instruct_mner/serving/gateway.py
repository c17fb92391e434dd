"""The gateway: what strangers talk to. Its own route, OpenAI's routes of vLLM, health and metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Not inside of functions: FastAPI looks up annotations here, and this module is itself imported late.
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from instruct_mner import __version__
from instruct_mner.errors import ServingError, UnreachableError
from instruct_mner.serving.docs_page import CONTENT_POLICY, docs_page
from instruct_mner.serving.entities_models import (
    EntitiesRequest,
    EntitiesResponse,
    OneOrSeveral,
    PostsRequest,
    PostsResponse,
)
from instruct_mner.serving.entities_route import EntityService, status_and_message
from instruct_mner.serving.http_models import ErrorResponse, Health, error_of
from instruct_mner.serving.json_body import JsonRoute, describe_problems
from instruct_mner.serving.keys import Keys
from instruct_mner.serving.label_studio import add_label_studio
from instruct_mner.serving.lifecycle import Lifecycle
from instruct_mner.serving.limits import BusyError, Limits, RefusedError
from instruct_mner.serving.methods import Methods
from instruct_mner.serving.metrics import Counters
from instruct_mner.serving.middleware import Admission
from instruct_mner.serving.models_routes import add_models
from instruct_mner.serving.openai_bodies import ChatBody, CompletionBody
from instruct_mner.serving.openai_routes import Upstream
from instruct_mner.serving.places import Places, Rates
from instruct_mner.serving.playground import playground
from instruct_mner.serving.request_log import HEADER, RefusalSummary, RequestLog, access_log, request_id
from instruct_mner.serving.task_pictures import TaskPictures

_DESCRIPTIONS = {
    400: "The body is not JSON, or vLLM refuses the request",
    401: "The API key is missing or wrong",
    404: "There is no such model",
    408: "The body did not come in time",
    413: "The body or the text is too large",
    415: "The type of the body is not application/json, or the body is compressed",
    422: "A field, a picture or a label cannot be used",
    429: "Too many requests are under way, or came in the last seconds",
    503: "vLLM is not there or has failed, or too much is under way: try again after Retry-After",
}


@dataclass(frozen=True, kw_only=True)
class Door:
    """Settings of the door of the gateway.

    Attributes:
        origins: Origins of pages whose scripts may ask (CORS); ``*`` for all.
        access_log: File of the access log; without it there is none.
        task_pictures: Reader of the pictures of Label Studio's tasks; without it no address is followed.
    """

    origins: tuple[str, ...] = ()
    access_log: Path | None = None
    task_pictures: TaskPictures | None = None


def build_gateway(
    service: EntityService,
    upstream: Upstream,
    counters: Counters,
    *,
    keys: Keys | None,
    limits: Limits,
    is_running: Callable[[], bool],
    lifecycle: Lifecycle,
    probe: Callable[[], Awaitable[bool]],
    door: Door | None = None,
    on_known: Callable[[tuple[str, int] | None], None] = lambda client: None,
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
        probe: Function that returns whether the engine writes a token, for those who ask whether it is ready.
        door: Settings of the door.
        on_known: Function that gets the address of a client that has sent a right key.
        close: Function that is called at the end.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        if close is not None:
            await close()

    app = FastAPI(
        title="instruct-mner",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        # Behind a proxy with TLS, the address of a redirection would have the wrong scheme.
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.router.route_class = JsonRoute
    errors = _errors(400, 401, 404, 408, 413, 415, 422, 429, 503)
    # The middleware checks the key; this only says so in the description.
    locked = [] if keys is None else [Depends(HTTPBearer(auto_error=False))]

    places, rates = Places(limits.concurrency), Rates(_rate_of(keys, limits))

    async def is_ready() -> bool:
        return is_running() and await lifecycle.is_ready(probe)

    @app.post("/v1/entities", responses=errors, dependencies=locked, operation_id="find_entities")
    async def find_entities(body: OneOrSeveral, request: Request) -> EntitiesResponse | PostsResponse:
        """Find the entities of a post, or of several."""
        if isinstance(body, PostsRequest):
            rates.charge(request.state.client, len(body.posts) - 1)
            return await service.answer_all(body, request_id(request.scope))
        return await service.answer(body)

    pictures = None if door is None else door.task_pictures
    add_label_studio(app, service, rates, pictures, errors=errors, locked=locked)

    @app.post("/v1/chat/completions", responses={**_ANYTHING, **errors}, dependencies=locked, operation_id="chat")
    async def chat(body: ChatBody) -> Response:
        """Answer as OpenAI's chat completions do, with vLLM's `structured_outputs`; streaming as well."""
        return await upstream.chat(body)

    @app.post("/v1/completions", responses={**_ANYTHING, **errors}, dependencies=locked, operation_id="complete")
    async def complete(body: CompletionBody) -> Response:
        """Complete a text as OpenAI's completions do."""
        return await upstream.complete(body)

    add_models(app, service, upstream.names, errors=_errors(401, 404, 413, 429), locked=locked)

    @app.get("/health", responses=_errors(503), operation_id="health")
    async def health() -> Health:
        """Tell that posts can be answered, as `/readyz` does."""
        if not await is_ready():
            raise UnreachableError("vLLM is not ready")
        return Health(status="ok")

    @app.get("/livez", operation_id="live")
    async def live() -> Health:
        """Tell that the gateway itself is there."""
        return Health(status="ok")

    @app.get("/readyz", responses=_errors(503), operation_id="ready")
    async def ready() -> Health:
        """Tell that requests are taken, and that the engine has written a token in the last seconds."""
        if not await is_ready():
            raise UnreachableError("vLLM is not ready")
        return Health(status="ok")

    @app.get(
        "/metrics",
        responses=_errors_as_json(401, 413, 429, 503),
        dependencies=locked,
        response_class=PlainTextResponse,
        operation_id="metrics",
    )
    async def metrics() -> PlainTextResponse:
        """Return the gateway's own counts, and vLLM's metrics where it answers, for Prometheus."""
        theirs = await upstream.metrics()
        return PlainTextResponse(counters.text() + theirs)

    def failed(request: Request, error: Any) -> JSONResponse:
        status, message = _status_and_message(error, request.url.path)
        headers = getattr(error, "headers", None)
        if status == 503:
            headers = {"retry-after": str(getattr(error, "seconds", None) or places.pause)}
        return JSONResponse(error_of(status, message, request_id(request.scope)).model_dump(), status, headers=headers)

    _handle_errors(app, failed)
    _name_models(app, upstream.names)
    page = docs_page(app.openapi())

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(page, headers={"content-security-policy": CONTENT_POLICY})

    start, policy = playground()

    @app.get("/", include_in_schema=False)
    async def try_it() -> HTMLResponse:
        return HTMLResponse(start, headers={"content-security-policy": policy})

    app.add_middleware(
        Admission,
        keys=keys,
        limits=limits,
        places=places,
        rates=rates,
        lifecycle=lifecycle,
        on_known=on_known,
    )
    _add_outer(app, counters, door or Door())
    return app


def _rate_of(keys: Keys | None, limits: Limits) -> Callable[[str], float | None]:
    def rate_of(client: str) -> float | None:
        own = None if keys is None else keys.rate_of(client)
        return limits.rate if own is None else own

    return rate_of


def _add_outer(app: FastAPI, counters: Counters, door: Door) -> None:
    """Add what comes before the key: HEAD and OPTIONS, CORS, and the log; the last one is the outermost."""
    by_path: dict[str, frozenset[str]] = {"/openapi.json": frozenset({"GET"})}
    for route in app.routes:
        if isinstance(route, APIRoute):
            by_path[route.path] = by_path.get(route.path, frozenset()) | frozenset(route.methods)
    app.add_middleware(Methods, by_path=by_path)
    if door.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=door.origins,
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=["authorization", "content-type", HEADER],
            expose_headers=["retry-after", HEADER],
        )
    write = None if door.access_log is None else access_log(door.access_log)
    app.add_middleware(RequestLog, counters=counters, write=write, refusals=RefusalSummary())


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
    for body in (EntitiesRequest, PostsRequest, ChatBody, CompletionBody):
        field = schemas[body.__name__]["properties"]["model"]
        for kind in field.get("anyOf", [field]):
            if kind["type"] == "string":
                kind["enum"] = list(names)


def _handle_errors(app: FastAPI, failed: Callable[..., Any]) -> None:
    for kind in (RefusedError, BusyError, ServingError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, failed)


def _status_and_message(error: Any, path: str) -> tuple[int, str]:
    """Return the status and the message of an error at a path."""
    if isinstance(error, RequestValidationError):
        return 422, describe_problems(error.errors(), error.body)
    if isinstance(error, HTTPException) and error.status_code == 404:
        return 404, f"there is no route {path!r:.80}; see /docs"
    if isinstance(error, HTTPException):
        return error.status_code, str(error.detail)
    return status_and_message(error)
