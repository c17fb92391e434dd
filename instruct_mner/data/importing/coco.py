"""COCO whose pictures carry the text of their post: posts with boxes, as ``convert`` writes them.

A file (shortened); ``text`` of an image is its post, ``text``, ``start`` and ``end`` of an annotation are its mention::

    {"images": [{"id": 1, "file_name": "7.jpg", "text": "Anna left", "post": "17", "index": 0}],
     "annotations": [{"image_id": 1, "category_id": 1, "bbox": [10, 20, 50, 60], "text": "Anna", "start": 0, "end": 4}],
     "categories": [{"id": 1, "name": "PER"}]}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from instruct_mner.data.importing.posts import Mark, RawPost
from instruct_mner.data.importing.region_files import coco_box, coco_surface, of_coco
from instruct_mner.schema.records import Box

KEYS = frozenset({"images", "annotations", "categories"})
Content = Mapping[str, Any]

_TEXTS = ("text", "caption", "sentence")


def of_content(content: Content, where: str) -> Iterator[RawPost]:
    """Read the posts of a file, in the order of its pictures.

    Raises:
        ValueError: Its pictures have no texts, or an annotation is wrong.
    """
    drawn = of_coco(content)
    labels = {each["id"]: str(each["name"]) for each in content.get("categories", [])}
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for image in content["images"]:
        if not any(isinstance(image.get(name), str) for name in _TEXTS):
            raise ValueError(
                f"COCO holds boxes of pictures, and picture {image['file_name']!r} has no 'text'; import the posts, "
                "and give them this file: instruct-mner import POSTS --boxes FILE"
            )
        groups.setdefault(str(image.get("post", image["id"])), []).append(image)
    annotations: dict[Any, list[Mapping[str, Any]]] = {}
    for each in content["annotations"]:
        annotations.setdefault(each["image_id"], []).append(each)
    for identifier, images in groups.items():
        images.sort(key=lambda image: int(image.get("index", 0)))
        text = next(str(images[0][name]) for name in _TEXTS if isinstance(images[0].get(name), str))
        marks: dict[tuple[int | None, int | None, str | None, str], list[Box]] = {}
        for index, image in enumerate(images):
            for each in annotations.get(image["id"], []):
                if "bbox" not in each:
                    continue
                box = coco_box(each, f"a box on {image['file_name']!r}")
                mention = (each.get("start"), each.get("end"), coco_surface(each), labels[each["category_id"]])
                if mention[0] is None and mention[2] is None:
                    raise ValueError(
                        f"a box on {image['file_name']!r} says no mention: it needs 'text', or 'start' and 'end'"
                    )
                marks.setdefault(mention, []).append(Box(image=index, box=box))
        yield RawPost(
            where=f"{where}: post {identifier!r}",
            id=identifier,
            text=text,
            marks=tuple(Mark(start=start, end=end, surface=surface, label=label, boxes=tuple(boxes))
                        for (start, end, surface, label), boxes in marks.items()),
            images=tuple(str(image["file_name"]) for image in images),
            drawn=tuple(drawn[str(image["file_name"])] for image in images),
            unit="characters",
        )  # fmt: skip
