"""Files of boxes that were drawn in another tool: COCO, CVAT and Pascal VOC.

A box of each (shortened), with its mention where the tool can say it, else with its type alone::

    COCO   {"images": [{"id": 1, "file_name": "7.jpg"}], "categories": [{"id": 3, "name": "PER"}],
            "annotations": [{"image_id": 1, "category_id": 3, "bbox": [10, 20, 50, 60], "text": "Anna Bell"}]}, or
            "attributes": {"text": "Anna Bell"}, as CVAT writes it
    CVAT   <image name="7.jpg"><box label="PER" xtl="10" ytl="20" xbr="60" ybr="80">
             <attribute name="text">Anna Bell</attribute></box></image>
    VOC    7.xml, as in ``gmner``; ``<name>`` is a mention or a type

Source: https://cocodataset.org/#format-data, https://docs.cvat.ai/docs/manual/advanced/formats/format-cvat/
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

from instruct_mner.data.gmner import parse_boxes
from instruct_mner.data.importing.marks import SURFACE_NAMES
from instruct_mner.data.importing.regions import PictureRegions, Region, Regions, Size
from instruct_mner.data.lenient import loads
from instruct_mner.errors import DataError
from instruct_mner.files import read_bytes, read_text
from instruct_mner.schema.records import Box, Coordinates

# A sum of floats may be above the width of the picture by less than this many decimals.
_DECIMALS = 9


def read_regions(path: Path) -> Regions:
    """Read boxes: COCO (JSON), CVAT (XML), or a folder of Pascal VOC files.

    Raises:
        DataError: It is none of these, or a box is wrong.
    """
    try:
        if path.is_dir():
            return Regions(str(path), dict(_of_voc(path)))
        if path.suffix.lower() == ".xml":
            return Regions(str(path), _of_cvat(parse_xml(read_bytes(path))))
        return Regions(str(path), of_coco(loads(read_text(path))))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"a field that is missing ({error})" if isinstance(error, KeyError) else str(error)
        raise DataError(
            f"{path}: {reason} (boxes are read from COCO: JSON, CVAT: XML, or a folder of Pascal VOC: XML)"
        ) from None


def of_coco(content: object) -> dict[str, PictureRegions]:
    """Read boxes as COCO writes them: ``[x, y, width, height]`` in pixels.

    Raises:
        ValueError: A box is wrong or lacks, or is of a picture or type that is not listed.
    """
    if not isinstance(content, Mapping) or not {"images", "annotations"} <= content.keys():
        raise ValueError("it needs 'images' and 'annotations'")
    for key in ("images", "annotations", "categories"):
        listed = content.get(key, [])
        if not isinstance(listed, list) or not all(isinstance(each, Mapping) for each in listed):
            raise ValueError(f"{key!r} is no list of objects")
    drawn: dict[str, PictureRegions] = {}
    names = {each["id"]: str(each["file_name"]) for each in content["images"]}
    for each in content["images"]:
        _add_picture(drawn, str(each["file_name"]), each.get("width"), each.get("height"))
    types = {each["id"]: str(each["name"]) for each in content.get("categories", [])}
    for number, each in enumerate(content["annotations"], start=1):
        if "caption" in each and "bbox" not in each and "segmentation" not in each:
            continue  # a text on the whole picture, which shows no mention
        if each["image_id"] not in names or each.get("category_id") not in {None, *types}:
            raise ValueError(f"annotation {number} is of an image or a category that is not listed")
        name = names[each["image_id"]]
        where = f"annotation {number}, on {name}"
        label = types.get(each.get("category_id"))
        drawn[name].add(Region(coco_box(each, where), label=label, surface=coco_surface(each)), where)
    return drawn


def coco_box(annotation: Mapping[str, object], where: str) -> Coordinates:
    """Return the box of an annotation of COCO as ``(x0, y0, x1, y1)``.

    Args:
        annotation: The annotation.
        where: Name of the annotation in messages.

    Raises:
        ValueError: It has none, or one that is no box.
    """
    values = annotation.get("bbox")
    if values is None:
        held = "a 'segmentation'" if annotation.get("segmentation") else "nothing"
        raise ValueError(f"{where} has no 'bbox' but {held}; draw a box, or take it out")
    if not isinstance(values, list | tuple) or len(values) != 4 or not all(map(_is_number, values)):
        raise ValueError(f"{where}: 'bbox' is {str(values)[:60]!r}, not [x, y, width, height] in pixels")
    if _is_rotated(attributes := _attributes(annotation)):
        raise ValueError(f"{where}: the box is rotated by {attributes['rotation']}; draw it upright")
    x, y, width, height = values
    return _checked((x, y, round(x + width, _DECIMALS), round(y + height, _DECIMALS)), where)


def coco_surface(annotation: Mapping[str, object]) -> str | None:
    """Return the mention that an annotation of COCO says itself or, as CVAT writes it, in its ``attributes``."""
    return _surface(annotation) or _surface(_attributes(annotation))


def _attributes(annotation: Mapping[str, object]) -> Mapping[str, object]:
    attributes = annotation.get("attributes")
    return attributes if isinstance(attributes, Mapping) else {}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_rotated(attributes: Mapping[str, object]) -> bool:
    rotation = attributes.get("rotation")
    return _is_number(rotation) and rotation != 0


def _add_picture(drawn: dict[str, PictureRegions], name: str, width: object, height: object) -> PictureRegions:
    """Return the boxes of a picture, which is added where it is new."""
    size = _size(name, width, height)
    picture = drawn.setdefault(name, PictureRegions(size))
    if picture.size != size:
        raise ValueError(f"picture {name} stands there twice, with two sizes; take one of them out")
    return picture


def _size(name: str, width: object, height: object) -> Size | None:
    """Return the size of a picture; some tools write 0 x 0, or none, where they did not open it."""
    if not width or not height:
        return None
    try:
        sides = _number(str(width)), _number(str(height))
    except ValueError:
        sides = (-1, -1)
    if not all(math.isfinite(side) and side > 0 for side in sides):
        raise ValueError(f"picture {name}: {width!r} x {height!r} is no width and height in pixels; mend them")
    return sides if all(sides) else None


def _of_cvat(root: ElementTree.Element) -> dict[str, PictureRegions]:
    if root.tag != "annotations" or root.find("image") is None:
        held = "track" if root.find("track") is not None else root.tag
        raise ValueError(f"<{held}> in place of <image>; export 'CVAT for images 1.1'")
    drawn: dict[str, PictureRegions] = {}
    for image in root.iter("image"):
        name = image.attrib["name"]
        picture = _add_picture(drawn, name, image.get("width"), image.get("height"))
        for shape in image:
            if shape.tag != "box":
                raise ValueError(f"a <{shape.tag}> on {name} is no box; draw a box, or take it out")
            if float(shape.get("rotation", "0")):
                raise ValueError(f"a box on {name} is rotated; draw it upright")
            x0, y0, x1, y1 = (_number(shape.attrib[side]) for side in ("xtl", "ytl", "xbr", "ybr"))
            said = {each.get("name", ""): each.text for each in shape.iter("attribute")}
            box = _checked((x0, y0, x1, y1), f"a box on {name}")
            picture.add(Region(box, label=shape.get("label"), surface=_surface(said)), f"a box on {name}")
    return drawn


def _of_voc(folder: Path) -> Iterator[tuple[str, PictureRegions]]:
    files = sorted(folder.glob("*.xml"))
    if not files:
        raise ValueError("no XML file in the folder")
    for file in files:
        boxes, size, reasons = parse_boxes(read_bytes(file))
        if reasons:
            raise ValueError(f"{file.name}: {reasons[0]}")
        regions = [Region(box.box, either=name) for name, same in boxes.items() for box in same]
        yield file.stem, PictureRegions(size, regions)


def _number(text: str) -> int | float:
    value = float(text)
    return int(value) if value.is_integer() else value


def _checked(box: Coordinates, where: str) -> Coordinates:
    try:
        return Box(box=box).box
    except ValueError:
        raise ValueError(f"{where}: box {list(box)} is inverted, empty, negative or no number") from None


def _surface(values: Mapping[str, object]) -> str | None:
    found = (values.get(name) for name in SURFACE_NAMES)
    return next((value for value in found if isinstance(value, str) and value), None)


class _WithoutDoctype(ElementTree.TreeBuilder):
    """Refuses document types: only they can declare the entities of an XML bomb."""

    def doctype(self, name: str, _public: str | None, _system: str | None) -> None:
        """Refuse a document type; called by the parser at a ``<!DOCTYPE``."""
        raise ValueError(f"holds a document type ({name!r}), which is refused; take the line out")


def parse_xml(content: bytes) -> ElementTree.Element:
    """Parse XML without a document type.

    Raises:
        ValueError: It is not well-formed, or has a document type.
    """
    try:
        return ElementTree.fromstring(content, ElementTree.XMLParser(target=_WithoutDoctype()))  # noqa: S314
    except ElementTree.ParseError as error:
        raise ValueError(f"not well-formed XML: {error}") from None
