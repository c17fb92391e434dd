"""Predicted boxes beside the pictures that they are on, as far as these are there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from instruct_mner.data.importing.regions import Size, is_outside
from instruct_mner.data.picture_files import find_picture
from instruct_mner.data.prediction_rows import images_by_id
from instruct_mner.errors import DataError
from instruct_mner.images import image_size
from instruct_mner.schema.records import Box, Example, PredictedEntity, Prediction

# Boxes that are no whole pixels may end a little beyond the edge.
_TOLERANCE = 1


def note_on_boxes(predicted: Sequence[Prediction], posts: Sequence[Example], root: Path | None) -> str | None:
    """Return a line on predicted boxes that lie outside of their pictures; ``None`` where none is known to.

    Args:
        predicted: Predictions.
        posts: The gold, whose pictures are looked at.
        root: Folder of the pictures; ``None`` where it is not known.
    """
    num_boxes, num_outside, first = 0, 0, ""
    sizes: dict[str, Size | None] = {}
    images_of = images_by_id(posts)
    for prediction, entity, box in _boxes(predicted if root is not None else ()):
        picture = next(iter(images_of(prediction.id)[box.image :]), "")
        if picture not in sizes:
            sizes[picture] = _size(root, picture)
        size = sizes[picture]
        if size is None:
            continue
        num_boxes += 1
        if is_outside(box.box, (size[0] + _TOLERANCE, size[1] + _TOLERANCE)):
            num_outside += 1
            first = first or (
                f"{list(box.box)} of {entity.text!r} in post {prediction.id!r}, whose picture {picture} has "
                f"{size[0]} x {size[1]} pixels"
            )
    if not num_outside:
        return None
    return (
        f"{num_outside} of {num_boxes} predicted boxes lie outside of their pictures, the first is {first}; boxes are "
        "pixels of the original picture, upright: scale them to it"
    )


def _boxes(predicted: Sequence[Prediction]) -> Iterator[tuple[Prediction, PredictedEntity, Box]]:
    for prediction in predicted:
        for entity in prediction.entities:
            for box in entity.boxes or ():
                yield prediction, entity, box


def _size(root: Path | None, picture: str) -> Size | None:
    path = find_picture(root, picture)
    try:
        return None if path is None else image_size(path)
    except DataError:
        return None
