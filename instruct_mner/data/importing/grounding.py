r"""Boxes of ms-swift's ``objects``: with names of what they show, or for the places ``<bbox>`` of the conversation.

Both forms of a row (shortened)::

    {"messages": […], "objects": {"ref": ["Anna"], "bbox": [[10, 20, 60, 80]], "bbox_type": "real", "image_id": [0]}}
    {"messages": […], "objects": "[{\"caption\": \"Anna\", \"bbox\": [10, 20, 60, 80], \"image\": 0}]"}

Source: https://swift.readthedocs.io/en/latest/Customization/Custom-dataset.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

from instruct_mner.data.importing.posts import Mark
from instruct_mner.data.lenient import loads
from instruct_mner.schema.records import Box

Row = Mapping[str, Any]

_PLACES = re.compile(r"<ref-object>|<bbox>")
_PIXELS = "real"


@dataclass(frozen=True)
class Grounded:
    """A box, and what it shows.

    Attributes:
        ref: The words for what it shows; ``None`` where there are none.
        box: The box; ``None`` where only the words are given.
    """

    ref: str | None
    box: Box | None


def objects_of(row: Row) -> list[Grounded]:
    """Read the objects of a row.

    Raises:
        ValueError: They are of another form, or their boxes are no pixels.
    """
    objects = row.get("objects")
    if not objects:
        return []
    if isinstance(objects, str):
        objects = loads(objects)
    listed = objects if isinstance(objects, list) else [objects]
    if not all(isinstance(each, Mapping) for each in listed):
        raise ValueError(f"'objects' is no {{'ref': […], 'bbox': […]}} but {str(objects)[:60]!r}")
    kinds = {str(each.get("bbox_type") or _PIXELS) for each in listed}
    if kinds != {_PIXELS}:
        raise ValueError(f"the boxes of 'objects' are of the type {', '.join(sorted(kinds))}, and their pixels are not "
                         "known; write pixels of the picture (bbox_type: real)")  # fmt: skip
    if isinstance(objects, list):
        return [Grounded(each.get("caption"), _box(each["bbox"], each.get("image", 0))) for each in listed]
    refs, boxes = objects.get("ref") or [], objects.get("bbox") or []
    images = objects.get("image_id") or [0] * len(boxes)
    if refs and boxes and len(refs) != len(boxes):
        raise ValueError(
            f"'objects' has {len(refs)} names (ref) and {len(boxes)} boxes (bbox); each box needs its name"
        )
    made = [_box(box, image) for box, image in zip(boxes, images, strict=True)]
    return [Grounded(ref, box) for ref, box in zip_longest(refs, made)]


def _box(values: Any, image: int) -> Box:
    if isinstance(values, Sequence) and len(values) == 1 and isinstance(values[0], Sequence):
        [values] = values
    if not isinstance(values, Sequence) or len(values) != 4:
        raise ValueError(f"bbox {str(values)[:60]} is no [x0, y0, x1, y1]")
    return Box(image=image, box=tuple(values))


def filled(turns: list[tuple[str, str]], objects: Sequence[Grounded]) -> list[tuple[str, str]]:
    """Put names and boxes into the places of a conversation, in their order, boxes as JSON."""
    refs = iter([each.ref for each in objects if each.ref is not None])
    boxes = iter([each.box for each in objects if each.box is not None])

    def fill(match: re.Match[str]) -> str:
        if match.group() == "<ref-object>":
            return next(refs, match.group())
        box = next(boxes, None)
        return match.group() if box is None else json.dumps([box.model_dump(mode="json")])

    return [(who, _PLACES.sub(fill, message)) for who, message in turns] if objects else turns


def with_boxes(marks: tuple[Mark, ...], objects: Sequence[Grounded]) -> tuple[Mark, ...]:
    """Give the boxes to the mentions that their names are, unless the answer held them.

    Raises:
        ValueError: A name is no mention of the answer.
    """
    if any(mark.boxes for mark in marks):
        return marks
    boxes: dict[int, list[Box]] = {}
    for each in objects:
        if each.box is None:
            continue
        owners = [number for number, mark in enumerate(marks) if mark.surface == each.ref]
        if not owners:
            raise ValueError(f"the box of {each.ref!r} in 'objects' belongs to no mention of the answer; 'ref' is the "
                             "text of the mention")  # fmt: skip
        for number in owners:
            boxes.setdefault(number, []).append(each.box)
    return tuple(
        replace(mark, boxes=tuple(boxes[number])) if number in boxes else mark for number, mark in enumerate(marks)
    )
