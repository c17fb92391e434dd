"""Connections: a deadline for headers, and a number of them that strangers cannot use up."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class ConnectionLimit:
    """Register of open connections.

    Where there are too many, the oldest of those that have not sent a right key is closed, so that a flood of
    connections without a key does not keep out who has one.

    Args:
        most: Number of connections, at most.
        header_seconds: Time that the headers of a request may take.
    """

    def __init__(self, most: int, header_seconds: float) -> None:
        self.header_seconds = header_seconds
        self._most = most
        # In the order in which they were opened.
        self._unknown: dict[GuardedProtocol, None] = {}
        self._known: set[GuardedProtocol] = set()
        self._by_address: dict[tuple[str, int], GuardedProtocol] = {}

    def protocol(self) -> type[asyncio.Protocol]:
        """Return the protocol class for uvicorn."""
        limit = self

        class Protocol(GuardedProtocol):
            connection_limit = limit

        return Protocol

    def __len__(self) -> int:
        return len(self._unknown) + len(self._known)

    def opened(self, connection: GuardedProtocol) -> None:
        """Note a new connection; close the oldest unknown one where there are too many."""
        self._unknown[connection] = None
        if connection.client is not None:
            self._by_address[connection.client] = connection
        if len(self) > self._most:
            oldest = next(iter(self._unknown))
            self.closed(oldest)
            oldest.transport.abort()

    def closed(self, connection: GuardedProtocol) -> None:
        """Forget a connection."""
        self._unknown.pop(connection, None)
        self._known.discard(connection)
        if connection.client is not None:
            self._by_address.pop(connection.client, None)

    def known(self, client: tuple[str, int] | None) -> None:
        """Note that a right key came over the connection of this address."""
        connection = None if client is None else self._by_address.get(tuple(client))  # type: ignore[arg-type]
        if connection is not None and connection in self._unknown:
            del self._unknown[connection]
            self._known.add(connection)


class GuardedProtocol(H11Protocol):
    """uvicorn's protocol, with a deadline for the headers of each request."""

    connection_limit: ConnectionLimit
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin a connection, which must send headers in time."""
        super().connection_made(transport)
        self._start_deadline()
        self.connection_limit.opened(self)

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
