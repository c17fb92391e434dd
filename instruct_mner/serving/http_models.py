"""Parts of bodies that all routes share: errors as OpenAI's API writes them, models, and the state of the server."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Closed(BaseModel):
    """A part of a body that takes no further fields and converts no values."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ErrorDetail(BaseModel):
    """Reason of an error; ``request_id`` is the one of the header ``x-request-id``."""

    message: str
    type: str
    param: str | None = None
    code: int
    request_id: str | None = None


class ErrorResponse(BaseModel):
    """An error, as OpenAI's API writes it."""

    error: ErrorDetail


class Model(BaseModel):
    """A model, as OpenAI's API lists it, with the entity types of its tuning.

    Attributes:
        id: Name of the model.
        labels: Definition of each entity type, or ``null``; empty for a model that was not tuned.
    """

    id: str
    labels: dict[str, str | None] = {}
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


# As the errors of OpenAI's client are called, which people look for.
_KINDS = {401: "AuthenticationError", 404: "NotFoundError", 413: "RequestTooLargeError", 429: "RateLimitError"}


def error_of(status: int, message: str, request_id: str | None = None) -> ErrorResponse:
    """Return an error."""
    kind = _KINDS.get(status)
    detail = ErrorDetail(
        # What a client sent may stand in it, halves of characters included.
        message=message.encode(errors="backslashreplace").decode(),
        type=kind or ("BadRequestError" if status < 500 else "ServerError"),
        code=status,
        request_id=request_id,
    )
    return ErrorResponse(error=detail)
