"""Posts as the body of a request to ``instruct-mner serve`` holds them, in no more of a body than it takes."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL import Image

from instruct_mner.images import as_image, check_image, check_no_address
from instruct_mner.tagging.texts import GivenPost, Picture, naming_pictures_of

_SENT_AS_THEY_ARE = frozenset({"JPEG", "MPO", "PNG", "WEBP"})
"""Formats whose files are sent: the server opens them as this process does. Others are sent as PNG.

MPO is what Pillow calls a JPEG with further pictures behind the first, as phones write them.
"""

BODY_BYTES = 15 * 2**20
"""Largest size of the posts of a request, below what a server takes in a body by default, with room for labels."""


def in_requests(
    posts: Iterable[GivenPost],
) -> Iterator[tuple[list[GivenPost], list[dict[str, object]]]]:
    """Yield the posts of each request, as they were given and as its body holds them; a large post is alone in it.

    Args:
        posts: Posts with their pictures.

    Raises:
        MnerError: A picture cannot be used.
    """
    given, described, size = list[GivenPost](), list[dict[str, object]](), 0
    for post in posts:
        body = _described(post)
        num_bytes = len(json.dumps(body))
        if given and size + num_bytes > BODY_BYTES:
            yield given, described
            given, described, size = [], [], 0
        given, described, size = [*given, post], [*described, body], size + num_bytes
    if given:
        yield given, described


def _described(post: GivenPost) -> dict[str, object]:
    example, pictures = post
    with naming_pictures_of(example):
        images = [base64.b64encode(_content(picture)).decode() for picture in pictures]
    return {"text": example.text, "images": images} if images else {"text": example.text}


def _content(picture: Picture) -> bytes:
    """Return the file of a picture, where there is one that a server takes, and a PNG of its pixels else."""
    if isinstance(picture, str):
        check_no_address(picture)
    source = Path(picture) if isinstance(picture, str) else picture
    if not isinstance(source, Image.Image) and check_image(source).format in _SENT_AS_THEY_ARE:
        return source.read_bytes() if isinstance(source, Path) else source
    file = io.BytesIO()
    as_image(source).save(file, "PNG")
    return file.getvalue()
