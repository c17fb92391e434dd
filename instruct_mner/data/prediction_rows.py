"""Rows of predictions, completed by what follows from the rest: texts of entities, and pictures of the post."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

from pydantic import ValidationError

from instruct_mner.data.inclusive_ends import InclusiveEnds
from instruct_mner.data.lenient import RepeatedKeyError, completed, loads
from instruct_mner.schema.records import Example, Prediction

ImagesOf = Callable[[str], tuple[str, ...]]
"""Function that returns the pictures of the post with an id; none where there is no such post."""


def images_by_id(posts: Sequence[Example]) -> ImagesOf:
    """Return the function that returns the pictures of the post with an id; the posts are read when it is called."""

    @cache
    def by_id() -> dict[str, tuple[str, ...]]:
        return {post.id: post.images for post in posts if post.images}

    return lambda identifier: by_id().get(identifier, ())


def no_images(_: str) -> tuple[str, ...]:
    """Return no pictures, where no posts are known."""
    return ()


def prediction_of(
    row: Mapping[str, object], images_of: ImagesOf = no_images, *, ends: InclusiveEnds | None = None
) -> Prediction:
    """Make a prediction of a row.

    Args:
        row: The row, by the fields of a prediction.
        images_of: Pictures of the posts, for boxes of rows that name none.
        ends: Ends of mentions whose texts are not given, which are counted.

    Raises:
        ValidationError: It is no prediction.
    """
    return _parsed(partial(Prediction.model_validate, row), row, images_of, ends)


def prediction_of_line(line: str, images_of: ImagesOf = no_images, *, ends: InclusiveEnds | None = None) -> Prediction:
    """Make a prediction of a line of JSONL; see ``prediction_of``.

    Raises:
        RepeatedKeyError: A key is given twice.
        ValidationError: It is no prediction.
    """
    try:
        row = loads(line)
    except RepeatedKeyError:
        raise
    except (ValueError, RecursionError):
        row = None  # which the record says
    return _parsed(partial(Prediction.model_validate_json, line), row, images_of, ends)


def _parsed(parse: Callable[[], Prediction], row: Any, images_of: ImagesOf, ends: InclusiveEnds | None) -> Prediction:
    try:
        return parse()
    except ValidationError:
        if not isinstance(row, Mapping):
            raise
        whole, num_filled = completed(row)
        if not whole.get("images") and (images := images_of(str(whole.get("id")))):
            whole["images"] = images
        if whole == row:
            raise
        prediction = Prediction.model_validate(whole)
        if num_filled and ends is not None:
            ends.look_at(prediction)
        return prediction
