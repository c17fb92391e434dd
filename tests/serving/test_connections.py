"""Connections that send nothing, or half of something."""

from __future__ import annotations

import json
import socket
from dataclasses import replace

import pytest
from conftest import KEY, LIMITS, connected, running_gateway

REQUEST = f"GET /v1/models HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {KEY}\r\n\r\n".encode()


def whole_answer(connection: socket.socket) -> bytes:
    """Return an answer up to the end of its JSON, which may come behind its headers."""
    content = b""
    while not content.endswith(b"}"):
        piece = connection.recv(1000)
        assert piece, content
        content += piece
    return content


@pytest.mark.parametrize("begin", [b"", b"GET / HTTP/1.1\r\nhost: a\r\nx: "])
def test_headers_have_a_deadline(begin: bytes) -> None:
    with (
        running_gateway(limits=replace(LIMITS, header_seconds=0.2)) as gateway,
        connected(gateway, begin) as slow,
        connected(gateway, REQUEST) as kept,
    ):
        assert b"200 OK" in whole_answer(kept)
        with pytest.raises(ConnectionResetError):
            while True:
                if not slow.recv(1000):
                    raise ConnectionResetError
        # A connection that waits between two requests is left open; half a request has the deadline again.
        kept.sendall(REQUEST)
        assert b"200 OK" in whole_answer(kept)
        kept.sendall(REQUEST[:20])
        with pytest.raises(ConnectionResetError):
            while True:
                if not kept.recv(1000):
                    raise ConnectionResetError


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"])
def test_large_headers_are_refused(end: bytes) -> None:
    with (
        running_gateway(limits=replace(LIMITS, header_bytes=2_000)) as gateway,
        connected(gateway, b"GET /livez HTTP/1.1\r\nx: " + b"x" * 5_000 + end) as large,
    ):
        answer = large.recv(1000)
        assert answer.startswith(b"HTTP/1.1 431 ")
        error = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
        assert error["message"] == "the headers are larger than the 2000 bytes allowed"


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
def test_headers_may_come_in_any_pieces(newline: bytes) -> None:
    request = newline.join((b"POST /v1/entities HTTP/1.1", b"host: a", b"authorization: Bearer " + KEY.encode()))
    request += newline + b"content-type: application/json" + newline + b"content-length: 2" + 2 * newline + b"{}"
    with running_gateway() as gateway, connected(gateway) as slow:
        slow.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(len(request)):
            slow.sendall(request[number : number + 1])
        assert slow.recv(1000).startswith(b"HTTP/1.1 422 ")


def test_what_is_no_http_is_told_so_at_once() -> None:
    with running_gateway() as gateway, connected(gateway, b"\x16\x03\x01\x02\x00\x01") as tls:
        assert b"400 Bad Request" in tls.recv(1000)


def test_a_flood_without_a_key_keeps_nobody_out() -> None:
    with running_gateway(limits=replace(LIMITS, connections=4)) as gateway, connected(gateway, REQUEST) as kept:
        assert b"200 OK" in whole_answer(kept)
        flood = [connected(gateway, b"GET / HTTP/1.1\r\n") for _ in range(20)]
        kept.sendall(REQUEST)
        assert b"200 OK" in whole_answer(kept)
        assert gateway.client.get("/v1/models").status_code == 200
        for connection in flood:
            connection.close()
