"""The gateway: what strangers talk to. Its own route, OpenAI's routes of vLLM, health and metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from instruct_mner.serving.limits import Limits, RefusedError
from instruct_mner.serving.metrics import Counters
from instruct_mner.serving.middleware import Admission, error_body
from instruct_mner.serving.openai_routes import ChatBody, CompletionBody, Upstream


class ErrorDetail(BaseModel):
    """Answer of a request that failed."""

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
    """Tell whether posts can be answered."""

    status: str


_SAID = {
    400: "The body is not JSON, or vLLM refuses the request",
    401: "The API key is missing or wrong",
    404: "There is no such model",
    413: "The body or the text is too large",
    422: "A field, a picture or a label cannot be used",
    429: "Too many requests are under way",
    502: "vLLM failed",
    503: "vLLM is not there",
}


def build_gateway(
    service: EntityService,
    upstream: Upstream,
    counters: Counters,
    *,
    key: str | None,
    limits: Limits,
    is_running: Callable[[], bool],
) -> FastAPI:
    """Return the gateway's application.

    Args:
        service: Answers posts.
        upstream: vLLM.
        counters: Counters of requests.
        key: Key that clients must send; ``None`` = no key is needed.
        limits: Limits of a request.
        is_running: Function that tells whether vLLM is running.
    """
    app = FastAPI(title="instruct-mner", version=__version__, redoc_url=None)
    errors = _errors(400, 401, 404, 413, 422, 429, 502, 503)
    # The door checks the key (admission.py); this only says so in the description.
    locked = [] if key is None else [Depends(HTTPBearer(auto_error=False))]

    @app.post("/v1/entities", responses=errors, dependencies=locked, operation_id="find_entities")
    async def find_entities(request: EntitiesRequest) -> EntitiesResponse:
        """Find the entities of a post."""
        return await service.answer(request)

    @app.post("/v1/chat/completions", responses={**_ANYTHING, **errors}, dependencies=locked, operation_id="chat")
    async def chat(body: ChatBody, request: Request) -> Response:
        """OpenAI's chat completions, with vLLM's `structured_outputs`; streaming as well."""
        await upstream.check_chat(body)
        return await upstream.pass_on("/v1/chat/completions", body, await request.body())

    @app.post("/v1/completions", responses={**_ANYTHING, **errors}, dependencies=locked, operation_id="complete")
    async def complete(body: CompletionBody, request: Request) -> Response:
        """OpenAI's completions of a text."""
        upstream.check_completion(body)
        return await upstream.pass_on("/v1/completions", body, await request.body())

    @app.get("/v1/models", responses=_errors(401, 413, 429), dependencies=locked, operation_id="list_models")
    async def list_models() -> ModelList:
        """Return the models that are served."""
        return ModelList(data=[Model(id=name) for name in upstream.names])

    @app.get("/health", responses=_errors(503), operation_id="health")
    async def health() -> Health:
        """Tell whether posts can be answered."""
        if not is_running() or (await upstream.forward("GET", "/health")).status_code != 200:
            raise ServingError("vLLM is not healthy")
        return Health(status="ok")

    @app.get(
        "/metrics",
        responses=_told_as_json(401, 413, 429, 503),
        dependencies=locked,
        response_class=PlainTextResponse,
        operation_id="metrics",
    )
    async def metrics() -> PlainTextResponse:
        """Return the gateway's own counts, and vLLM's metrics, for Prometheus."""
        theirs = await upstream.forward("GET", "/metrics")
        return PlainTextResponse(counters.text() + bytes(theirs.body).decode())

    def failed(_: Request, error: Any) -> JSONResponse:
        status, message = _told(error)
        return JSONResponse(error_body(status, message), status, headers=getattr(error, "headers", None))

    _handle_errors(app, failed)
    _name_models(app, upstream.names)
    app.add_middleware(Admission, key=key, limits=limits, counters=counters)
    return app


_ANYTHING: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "As OpenAI's API answers; with `stream`, server-sent events",
        "content": {"application/json": {"schema": {"type": "object"}}, "text/event-stream": {}},
    }
}


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorResponse, "description": _SAID[status]} for status in statuses}


def _told_as_json(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Error of a route whose answers are no JSON."""
    schema = {"$ref": f"#/components/schemas/{ErrorResponse.__name__}"}
    return {
        status: {"description": _SAID[status], "content": {"application/json": {"schema": schema}}}
        for status in statuses
    }


def _name_models(app: FastAPI, names: Sequence[str]) -> None:
    """Say in the description which models there are."""
    schemas = app.openapi()["components"]["schemas"]
    for body in (EntitiesRequest, ChatBody, CompletionBody):
        field = schemas[body.__name__]["properties"]["model"]
        for kind in field.get("anyOf", [field]):
            if kind["type"] == "string":
                kind["enum"] = list(names)


def _handle_errors(app: FastAPI, failed: Callable[..., Any]) -> None:
    for kind in (RefusedError, ServingError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, failed)


def _told(error: Any) -> tuple[int, str]:
    """Return status and message of an error."""
    if isinstance(error, RefusedError):
        return error.status, str(error)
    if isinstance(error, ServingError):
        # Not its message: it names addresses of ours.
        return (502, "the model failed to answer") if error.status is not None else (503, "the model is not there")
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return 400, "the body is not JSON"
        reasons = (f"{'.'.join(map(str, each['loc'][1:])) or 'body'}: {each['msg']}" for each in error.errors()[:5])
        return 422, "; ".join(reasons)
    if isinstance(error, HTTPException):
        return error.status_code, str(error.detail)
    return 500, "the gateway failed; its log says why"
