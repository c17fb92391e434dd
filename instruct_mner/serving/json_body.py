"""JSON of request bodies: read with bounds, and the names of the fields that are wrong in it."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute
from pydantic_core import from_json
from starlette.datastructures import Headers

from instruct_mner.data.lenient import RepeatedKeyError, unique_object
from instruct_mner.schema.validation_messages import explained, is_half_of_a_character

_MOST_PROBLEMS = 5


def read_json(body: bytes) -> Any:
    """Return the value of a body; a byte order mark in front of it is passed over.

    Raises:
        HTTPException: With 400, it is not JSON in UTF-8 (``NaN`` and deep nesting are none); with 422, a key is given
            twice, or a text holds half of a character, which JSON's escapes can write and UTF-8 cannot.
    """
    body = body.removeprefix(BOM_UTF8)
    try:
        value = from_json(body, allow_inf_nan=False)
        # That parser has the bounds, and takes the last of two equal keys; this one finds them.
        json.loads(body, object_pairs_hook=unique_object, parse_int=str, parse_float=str)
    except RepeatedKeyError as error:
        raise HTTPException(422, str(error)) from None
    except ValueError as error:
        reason = str(error)
    else:
        return value
    if is_half_of_a_character(reason):
        raise HTTPException(422, f"a text holds half of a character: {reason}")
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise HTTPException(400, f"the body is not JSON in UTF-8: {error}") from None
    raise HTTPException(400, f"the body is not JSON: {reason}")


def is_too_wide(body: bytes, most: int) -> bool:
    """Return whether a body holds more than so many values, without parsing it."""
    if _num_values(body) <= most:
        return False
    # What stands in texts is no value. A value has at most two texts, its key and itself, in two quotes each.
    unescaped = body.replace(rb"\\", b"").replace(rb"\"", b"")
    return unescaped.count(b'"') > 4 * (most + 1) or _num_values(b"".join(unescaped.split(b'"')[::2])) > most


def _num_values(body: bytes) -> int:
    return sum(map(body.count, (b",", b"[", b"{")))


class JsonRoute(APIRoute):
    """A route whose body is read by :func:`read_json`, where its type says that it is JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler, on requests that read their body so."""
        handler = super().get_route_handler()
        needs_json = self.body_field is not None

        async def handle(request: Request) -> Response:
            if needs_json:
                _check_encoding(request.headers)
                _check_type(request.headers.get("content-type"))
            return await handler(_JsonRequest(request.scope, request.receive))

        return handle


def _check_encoding(headers: Headers) -> None:
    """Refuse a body that is compressed: none is unpacked, as a small one can fill the memory.

    Raises:
        HTTPException: With 415, it is.
    """
    encoding = ", ".join(headers.getlist("content-encoding"))
    if {each.strip().lower() for each in encoding.split(",")} - {"", "identity"}:
        message = f"send the body as it is, without 'Content-Encoding: {encoding:.80}'; no body is unpacked"
        raise HTTPException(415, message, headers={"accept-encoding": "identity"})


def _check_type(content_type: str | None) -> None:
    """Refuse a body whose type is not JSON, which a page of any origin could send without being asked for.

    Raises:
        HTTPException: With 415, it is not.
    """
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json")):
        return
    was = f"it was {content_type!r:.80}" if content_type else "there was none"
    raise HTTPException(415, f"send the header 'Content-Type: application/json' with the body; {was}")


class _JsonRequest(Request):
    async def json(self) -> Any:
        return read_json(await self.body())


def describe_problems(problems: Sequence[Any], body: Any) -> str:
    """Return the first problems of a body as a message, each with the path of its field.

    Args:
        problems: Errors of pydantic, with ``loc`` and ``msg``; the first part of ``loc`` is ``body``.
        body: Value of the body.
    """
    lines = [f"{field_path(each['loc'][1:], body)}: {_reason(each)}" for each in problems[:_MOST_PROBLEMS]]
    if len(problems) > _MOST_PROBLEMS:
        lines.append(f"and {len(problems) - _MOST_PROBLEMS} more")
    return "; ".join(lines)


def _reason(problem: Any) -> str:
    if problem["type"] == "extra_forbidden":
        return "this server does not take such a field; see /docs"
    return explained(problem)


def field_path(loc: Sequence[int | str], body: Any) -> str:
    """Return a path such as ``messages.0.content.1.uuid``, without pydantic's names of the alternatives of a union."""
    path: list[str] = []
    named = False
    for number, key in enumerate(loc):
        if isinstance(body, dict) and isinstance(key, str):
            # The first key within an alternative is its name, which may be that of a field as well.
            if not named and body.get("type") == key and number < len(loc) - 1:
                named = True
                continue
            if key not in body and number < len(loc) - 1:
                continue
            body, named = body.get(key), False
        elif isinstance(body, list) and isinstance(key, int) and key < len(body):
            body, named = body[key], False
        else:
            continue
        path.append(f"{key!s:.80}")
    return ".".join(path) or "body"
