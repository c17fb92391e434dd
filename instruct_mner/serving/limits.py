"""Limits of a request, and the pictures that come in requests."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from instruct_mner.errors import DataError
from instruct_mner.images import open_image

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Limits:
    """The most that is taken of a stranger.

    Attributes:
        body_bytes: Largest size of a request's body; pictures travel in it, a third larger than their files.
        picture_pixels: Largest number of pixels of a picture, once it is decoded.
        text_characters: Largest number of characters of a text.
        num_labels: Types that may be asked for at once.
        num_choices: Answers to one request (``n``).
        concurrency: Requests that are taken in at once; further ones are told to come again.
    """

    body_bytes: int = 16 * 2**20
    picture_pixels: int = 25_000_000
    text_characters: int = 20_000
    num_labels: int = 200
    num_choices: int = 16
    concurrency: int = 256


class RefusedError(Exception):
    """A request that is refused; ``status`` is a 4xx."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def decode_picture(source: str, number: int, limits: Limits) -> Image:
    """Return a picture given as base64, bare or as a data URL. No address is followed, no file opened.

    Args:
        source: Picture as the request holds it.
        number: Which of its pictures it is, from 1.
        limits: Limits of its size.

    Raises:
        RefusedError: It is an address, or no picture that may be decoded.
    """
    data = _payload(source, number)
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise RefusedError(422, f"picture {number} is not base64; send data:image/png;base64,…") from None
    try:
        return open_image(content, max_pixels=limits.picture_pixels, max_bytes=limits.body_bytes)
    except DataError as error:
        raise RefusedError(422, f"picture {number}: {error}") from None


def _payload(source: str, number: int) -> str:
    if source[:5].lower() != "data:":
        if ":" in source[:16]:
            raise RefusedError(
                422, f"picture {number} is an address, {source[:40]!r}; send the picture itself, as base64"
            )
        return source
    head, comma, data = source.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise RefusedError(422, f"picture {number} is a data URL without ';base64,'; send data:image/png;base64,…")
    return data


def is_allowed_address(source: str, domains: tuple[str, ...]) -> bool:
    """Return whether a picture may be fetched from an address."""
    try:
        parts = urlsplit(source)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and parts.hostname in domains


def check_encodable(text: str) -> None:
    """Refuse half of a character.

    Raises:
        RefusedError: JSON's escapes can say it (a lone surrogate), but no text holds it.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RefusedError(422, f"a text holds half of a character, {error.object[error.start]!a}") from None
