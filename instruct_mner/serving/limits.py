"""Limits of requests, and the errors with which they are refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Upper bounds on what a client may send.

    Attributes:
        body_bytes: Bytes of a body; pictures travel in it, a third larger than their files.
        total_body_bytes: Bytes of the bodies of all requests under way together.
        body_values: Values of the JSON in a body: fields, items of lists.
        picture_pixels: Pixels of a decoded picture.
        total_pixels: Pixels of the pictures of all requests under way together.
        text_characters: Characters of a text.
        num_labels: Entity types in a request.
        num_choices: Answers to one request (``n``).
        num_posts: Posts in a request.
        concurrency: Requests under way at once; further ones get 429.
        connections: Open connections, at most; those without a right key are closed first.
        header_bytes: Bytes of the headers of a request.
        header_seconds: Time in which the headers of a request must come.
        body_seconds: Time in which a body must come.
        request_seconds: Time of an answer.
        drain_seconds: Time that requests under way have to end after a signal.
        rate: Requests a second with one key, over ten seconds; ``None`` = any number. A post counts as one.
    """

    body_bytes: int = 16 * 2**20
    total_body_bytes: int = 512 * 2**20
    body_values: int = 50_000
    picture_pixels: int = 25_000_000
    total_pixels: int = 250_000_000
    text_characters: int = 20_000
    num_labels: int = 200
    num_choices: int = 16
    num_posts: int = 64
    concurrency: int = 256
    connections: int = 1024
    header_bytes: int = 32 * 1024
    header_seconds: float = 10.0
    body_seconds: float = 60.0
    request_seconds: float = 600.0
    drain_seconds: float = 30.0
    rate: float | None = None


class RefusedError(Exception):
    """A request that is refused; ``status`` is a 4xx."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class BusyError(Exception):
    """A request that cannot be answered now: 503 with ``Retry-After``.

    Args:
        message: Reason.
        seconds: Pause after which the client may try again; ``None``: as long as the queue is.
    """

    status = 503

    def __init__(self, message: str, seconds: int | None = None) -> None:
        super().__init__(message)
        self.seconds = seconds


class TooManyError(BusyError):
    """A request too many: 429 with ``Retry-After``."""

    status = 429
