"""HEAD and OPTIONS: HEAD answers as GET without a body, OPTIONS with the methods of a path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from starlette.routing import compile_path

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Methods:
    """ASGI middleware.

    Args:
        app: Application behind it.
        by_path: Methods of each path, as its routes have them; a path may have parameters.
    """

    def __init__(self, app: ASGIApp, by_path: Mapping[str, frozenset[str]]) -> None:
        self._app = app
        self._allowed = [(compile_path(path)[0], _with_own(methods)) for path, methods in by_path.items()]
        self._allowed.append((compile_path("*")[0], frozenset().union(*(methods for _, methods in self._allowed))))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer OPTIONS; pass everything else on."""
        path = scope.get("path", "")
        allowed = next((methods for pattern, methods in self._allowed if pattern.match(path)), None)
        if scope["type"] != "http" or allowed is None:
            await self._app(scope, receive, send)
        elif scope["method"] == "OPTIONS":
            headers = [(b"allow", ", ".join(sorted(allowed)).encode())]
            await send({"type": "http.response.start", "status": 204, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
        elif scope["method"] == "HEAD" and "GET" in allowed:
            await self._app({**scope, "method": "GET"}, receive, _without_body(send))
        else:
            await self._app(scope, receive, _naming(allowed, send))


def _with_own(methods: frozenset[str]) -> frozenset[str]:
    return methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())


def _without_body(send: Send) -> Send:
    async def sent(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return sent


def _naming(allowed: frozenset[str], send: Send) -> Send:
    """Return a sender that names all methods of the path where a request has another one."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 405:
            others = [(name, value) for name, value in message.get("headers", ()) if name.lower() != b"allow"]
            message = {**message, "headers": [*others, (b"allow", ", ".join(sorted(allowed)).encode())]}
        await send(message)

    return sent
