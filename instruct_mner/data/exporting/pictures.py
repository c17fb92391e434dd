"""Formats of pictures with boxes: COCO, and Pascal VOC in a folder as ``gmner`` reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

from instruct_mner.data.exporting import columns
from instruct_mner.data.exporting.posts import ExportedPosts, as_gold
from instruct_mner.errors import DataError
from instruct_mner.schema.records import PredictedEntity


def coco(posts: ExportedPosts) -> Iterator[str]:
    """Yield COCO: a picture with the text of its post, and an annotation for each box of a mention.

    Mentions without a box and posts without a picture are none of it. Categories are the types of all splits, so that
    their numbers are the same in each.

    Raises:
        DataError: No post has a picture.
    """
    if not any(post.images for post in posts.posts):
        raise DataError(
            f"{posts.name}: COCO holds pictures with their posts, and none of these has one; choose another format"
        )
    categories = {label: number for number, label in enumerate(posts.labels(), start=1)}
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for post in posts.posts:
        first = len(images) + 1
        for index, name in enumerate(post.images):
            size = posts.size(name)
            sides = {} if size is None else {"width": size[0], "height": size[1]}
            image = {"id": first + index, "file_name": name, **sides, "post": post.id, "index": index}
            images.append({**image, "text": post.text})
        for entity in post.entities or ():
            for box in entity.boxes or ():
                x0, y0, x1, y1 = box.box
                annotation: dict[str, object] = {
                    "id": len(annotations) + 1,
                    "image_id": first + box.image,
                    "category_id": categories[entity.label],
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": (x1 - x0) * (y1 - y0),
                    "iscrowd": 0,
                    "text": entity.text,
                    "start": entity.start,
                    "end": entity.end,
                }
                if isinstance(entity, PredictedEntity):
                    annotation["score"] = entity.score
                annotations.append(annotation)
    listed = [{"id": number, "name": label} for label, number in categories.items()]
    yield json.dumps({"images": images, "annotations": annotations, "categories": listed}, ensure_ascii=False) + "\n"


def write_voc(splits: Mapping[str, ExportedPosts], folder: Path) -> None:
    """Write ``txt/SPLIT.txt`` and ``xml/ID.xml``.

    Raises:
        DataError: A post has no picture of its own, or two have the same.
    """
    for name in ("txt", "xml"):
        (folder / name).mkdir(parents=True)
    written: set[str] = set()
    for split, posts in splits.items():
        if not columns.names_pictures(posts.posts):
            lacking = sum(len(post.images) != 1 for post in posts.posts)
            raise DataError(
                f"{posts.name}: Pascal VOC needs one picture for each post, of another name for each; {lacking} of "
                f"{len(posts.posts)} posts have none or several; choose COCO (--to coco), or leave such posts out"
            )
        (folder / "txt" / f"{split}.txt").write_text("".join(columns.write(posts)), encoding="utf-8")
        for post in posts.posts:
            picture = Path(post.images[0])
            if picture.stem in written:
                raise DataError(f"{posts.name}: picture {picture.name!r} is that of two posts, which VOC cannot say; "
                                "choose COCO (--to coco)")  # fmt: skip
            written.add(picture.stem)
            tree = _annotation(posts, picture.as_posix(), [
                (entity.text, box.box) for entity in as_gold(post).gold for box in entity.boxes or ()
            ])  # fmt: skip
            tree.write(folder / "xml" / f"{picture.stem}.xml", encoding="utf-8")


def _annotation(
    posts: ExportedPosts, picture: str, boxes: list[tuple[str, tuple[float, ...]]]
) -> ElementTree.ElementTree[ElementTree.Element]:
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "filename").text = Path(picture).name
    size = posts.size(picture)
    if size is not None:
        element = ElementTree.SubElement(root, "size")
        for name, side in zip(("width", "height", "depth"), (*size, 3), strict=True):
            ElementTree.SubElement(element, name).text = str(side)
    for surface, box in boxes:
        thing = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(thing, "name").text = surface
        element = ElementTree.SubElement(thing, "bndbox")
        for name, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True):
            ElementTree.SubElement(element, name).text = str(value)
    return ElementTree.ElementTree(root)
