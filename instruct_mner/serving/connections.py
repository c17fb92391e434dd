"""Connections: a deadline and a size for headers, and a number of connections that strangers cannot use up."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from instruct_mner.serving.http_models import error_of

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState

# As h11 reads headers: a line may end without a carriage return.
_END_OF_HEADERS = re.compile(rb"\n\r?\n")
# What may stand before the end, in what was searched already.
_OVERLAP = 2


class ConnectionLimit:
    """Register of open connections.

    Where there are too many, the oldest of those that have not sent a right key is closed, so that a flood of
    connections without a key does not keep out who has one.

    Args:
        most: Number of connections, at most.
        header_seconds: Time that the headers of a request may take.
        header_bytes: Bytes of the headers of a connection's first request, at most.
    """

    def __init__(self, most: int, header_seconds: float, header_bytes: int) -> None:
        self.header_seconds = header_seconds
        self.header_bytes = header_bytes
        self.too_large = _too_large(header_bytes)
        self._most = most
        # In the order in which they were opened, or have sent their first headers.
        self._unknown: dict[PendingConnection | GuardedProtocol, None] = {}
        self._known: set[GuardedProtocol] = set()
        self._by_address: dict[tuple[str, int], GuardedProtocol] = {}

    def protocol(self) -> type[asyncio.Protocol]:
        """Return the protocol class for uvicorn."""
        limit = self

        class Protocol(PendingConnection):
            connection_limit = limit

        return Protocol

    def __len__(self) -> int:
        return len(self._unknown) + len(self._known)

    def opened(self, connection: PendingConnection) -> None:
        """Note a new connection; close the oldest unknown one where there are too many."""
        self._unknown[connection] = None
        if len(self) > self._most:
            oldest = next(iter(self._unknown))
            self.closed(oldest)
            oldest.transport.abort()

    def begun(self, connection: PendingConnection, request: GuardedProtocol) -> None:
        """Note that the headers of the first request have come over a connection."""
        self._unknown.pop(connection, None)
        self._unknown[request] = None
        if request.client is not None:
            self._by_address[request.client] = request

    def closed(self, connection: PendingConnection | GuardedProtocol) -> None:
        """Forget a connection."""
        self._unknown.pop(connection, None)
        if isinstance(connection, GuardedProtocol):
            self._known.discard(connection)
            if connection.client is not None:
                self._by_address.pop(connection.client, None)

    def known(self, client: tuple[str, int] | None) -> None:
        """Note that a right key came over the connection of this address."""
        connection = None if client is None else self._by_address.get(tuple(client))  # type: ignore[arg-type]
        if connection is not None and connection in self._unknown:
            del self._unknown[connection]
            self._known.add(connection)


class PendingConnection(asyncio.Protocol):
    """Connection whose first headers have not come: no more than its bytes, so that thousands of them cost little.

    Args:
        config: Settings of uvicorn.
        server_state: State of uvicorn's server.
        app_state: State of the application.
        _loop: Event loop, where it is not the running one.
    """

    connection_limit: ConnectionLimit

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._config, self._server_state, self._app_state = config, server_state, app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._received = b""

    def connection_made(self, transport: Any) -> None:
        """Begin a connection, which must send headers in time."""
        self.transport = transport
        limit = self.connection_limit
        self._deadline = self._loop.call_later(limit.header_seconds, transport.abort)
        # uvicorn closes at its end what stands there.
        self._server_state.connections.add(self)  # type: ignore[arg-type]
        limit.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End a connection."""
        self._forget()
        self.connection_limit.closed(self)

    def shutdown(self) -> None:
        """Close the connection, as uvicorn asks at its end."""
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Keep what came until the headers are whole; then uvicorn's protocol goes on."""
        begin = max(0, len(self._received) - _OVERLAP)
        self._received = self._received + data if self._received else data
        end = _END_OF_HEADERS.search(self._received, begin)
        size = len(self._received) if end is None else end.end()
        # What begins so is no HTTP (TLS, for example), which h11 says.
        is_odd = self._received[0] <= ord(" ")
        if size > self.connection_limit.header_bytes and not is_odd:
            self._forget()
            self.transport.write(self.connection_limit.too_large)
            self.transport.close()
        elif end is not None or is_odd:
            self._begin_request()

    def _forget(self) -> None:
        self._deadline.cancel()
        self._server_state.connections.discard(self)

    def _begin_request(self) -> None:
        self._forget()
        request = GuardedProtocol(self._config, self._server_state, self._app_state, self._loop)
        request.connection_limit = self.connection_limit
        request.connection_made(self.transport)
        self.transport.set_protocol(request)
        self.connection_limit.begun(self, request)
        request.data_received(self._received)


class GuardedProtocol(H11Protocol):
    """uvicorn's protocol, with a deadline for the headers of each further request."""

    connection_limit: ConnectionLimit
    _deadline: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """End a connection."""
        self._stop_deadline()
        self.connection_limit.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what came; the deadline begins with the first byte of a request and ends with its headers."""
        if self._deadline is None and self.conn.their_state is h11.IDLE:
            self._start_deadline()
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_deadline()

    def _start_deadline(self) -> None:
        self._deadline = self.loop.call_later(self.connection_limit.header_seconds, self.transport.abort)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _too_large(header_bytes: int) -> bytes:
    """Return the answer to headers that are too large, as it goes over the line."""
    body = error_of(431, f"the headers are larger than the {header_bytes} bytes allowed").model_dump_json().encode()
    lines = (
        "HTTP/1.1 431 Request Header Fields Too Large",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode() + body
