"""Results of Label Studio: spans of a text, and rectangles in per cent of the sides of a picture, related to them.

Source: https://labelstud.io/guide/predictions and https://labelstud.io/tags/rectanglelabels
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from instruct_mner.schema.records import Box, Entity, PredictedEntity

Result = Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class TagNames:
    """Names of the tags of a labelling interface that results refer to.

    Attributes:
        labels: Name of the tag with the labels of spans.
        text: Name of the tag of the text.
        rectangles: Name of the tag with the labels of rectangles.
        image: Name of the tag of the picture.
        labels_of: Names of the tags of spans by label, where there are several.
        rectangles_of: Names of the tags of rectangles by label, where there are several.
    """

    labels: str = "label"
    text: str = "text"
    rectangles: str = "box"
    image: str = "image"
    labels_of: Mapping[str, str] = field(default_factory=dict)
    rectangles_of: Mapping[str, str] = field(default_factory=dict)


def results_of(entities: Sequence[Entity], size: tuple[int, int] | None, names: TagNames | None = None) -> list[Result]:
    """Return the results of a task.

    Args:
        entities: Entities of the post.
        size: Width and height of its only picture in pixels; ``None`` leaves rectangles out.
        names: Names of the tags.
    """
    tags = names or TagNames()
    results: list[Result] = []
    for number, entity in enumerate(entities):
        results.append(_span(number, entity, tags))
        for index, box in enumerate(() if size is None else entity.boxes or ()):
            results += _rectangle(f"e{number}b{index}", f"e{number}", entity, box, size or (1, 1), tags)
    return results


def _span(number: int, entity: Entity, tags: TagNames) -> Result:
    value = {"start": entity.start, "end": entity.end, "text": entity.text, "labels": [entity.label]}
    name = tags.labels_of.get(entity.label, tags.labels)
    span = {"id": f"e{number}", "from_name": name, "to_name": tags.text, "type": "labels", "value": value}
    return span | ({"score": entity.score} if isinstance(entity, PredictedEntity) else {})


def _rectangle(key: str, owner: str, entity: Entity, box: Box, size: tuple[int, int], tags: TagNames) -> list[Result]:
    x0, y0, x1, y1 = box.box
    width, height = size
    value = {
        "x": 100 * x0 / width,
        "y": 100 * y0 / height,
        "width": 100 * (x1 - x0) / width,
        "height": 100 * (y1 - y0) / height,
        "rotation": 0,
        "rectanglelabels": [entity.label],
    }
    name = tags.rectangles_of.get(entity.label, tags.rectangles)
    rectangle = {"id": key, "from_name": name, "to_name": tags.image, "type": "rectanglelabels",
                 "value": value, "original_width": width, "original_height": height, "image_rotation": 0}  # fmt: skip
    return [rectangle, {"type": "relation", "from_id": owner, "to_id": key, "direction": "right"}]
