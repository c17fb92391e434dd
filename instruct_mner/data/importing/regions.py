"""Boxes that were drawn in another tool, given to the mentions of posts: COCO, CVAT and Pascal VOC.

A box of each (shortened), with its mention where the tool can say it, else with its type alone::

    COCO   {"images": [{"id": 1, "file_name": "7.jpg"}], "categories": [{"id": 3, "name": "PER"}],
            "annotations": [{"image_id": 1, "category_id": 3, "bbox": [10, 20, 50, 60], "text": "Anna Bell"}]}
    CVAT   <image name="7.jpg"><box label="PER" xtl="10" ytl="20" xbr="60" ybr="80">
             <attribute name="text">Anna Bell</attribute></box></image>
    VOC    7.xml, as in ``gmner``; ``<name>`` is a mention or a type

Source: https://cocodataset.org/#format-data, https://docs.cvat.ai/docs/manual/advanced/formats/format-cvat/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

from instruct_mner.data.gmner import parse_boxes
from instruct_mner.data.importing.posts import SURFACE_NAMES
from instruct_mner.data.lenient import loads
from instruct_mner.errors import DataError
from instruct_mner.files import read_bytes, read_text
from instruct_mner.schema.records import Box, Coordinates, Entity, Example


@dataclass(frozen=True)
class Region:
    """A box on a picture.

    Attributes:
        box: The box in pixels.
        label: Type of the mention that it shows; ``None`` where it is not known.
        surface: The mention that it shows; ``None`` where it is not known.
        either: A mention or a type, in formats with one name for both.
    """

    box: Coordinates
    label: str | None = None
    surface: str | None = None
    either: str | None = None

    @property
    def name(self) -> str:
        """Name that the tool gives it."""
        return self.surface or self.either or self.label or ""


@dataclass
class Regions:
    """The boxes of a file, by the names of their pictures.

    Attributes:
        source: The file, for messages.
        of_picture: Boxes by the name of the picture as the file writes it.
        used: Names of pictures that a post has.
        num_given: Number of boxes that mentions got.
    """

    source: str
    of_picture: dict[str, list[Region]]
    used: set[str] = field(default_factory=set)
    num_given: int = 0

    def __post_init__(self) -> None:
        self._names: defaultdict[str, set[str]] = defaultdict(set)
        for name in self.of_picture:
            for short in {name, PurePosixPath(name).name, PurePosixPath(name).stem}:
                self._names[short].add(name)

    def _name_of(self, picture: str) -> str | None:
        path = PurePosixPath(picture)
        for short in (picture, path.name, path.stem):
            names = self._names.get(short, set())
            if len(names) > 1:
                raise ValueError(
                    f"picture {picture!r} may be {' or '.join(sorted(names)[:3])} of {self.source}; rename"
                )
            if names:
                return next(iter(names))
        return None

    def given_to(self, example: Example) -> Example:
        """Return a post whose mentions have the boxes of their pictures; those that a mention had stay.

        Raises:
            ValueError: A box belongs to no mention of the post, or to which one is not known.
        """
        boxes: defaultdict[int, list[Box]] = defaultdict(list)
        for image, picture in enumerate(example.images):
            name = self._name_of(picture)
            if name is None:
                continue
            self.used.add(name)
            for region in self.of_picture[name]:
                for number in _owners(region, example.entities or ()):
                    boxes[number].append(Box(image=image, box=region.box))
        if not boxes:
            return example
        self.num_given += sum(map(len, boxes.values()))
        entities = tuple(
            entity.model_copy(update={"boxes": (*(entity.boxes or ()), *boxes[number])}) if number in boxes else entity
            for number, entity in enumerate(example.entities or ())
        )
        return example.model_copy(update={"entities": entities})

    def lines(self) -> list[str]:
        """Return the lines for the user."""
        lines = [f"{self.source}: {self.num_given} boxes were given to mentions; mentions without one stay as they are"]
        unused = [name for name in self.of_picture if name not in self.used]
        if unused:
            lines.append(f"{self.source}: no post has {len(unused)} of its {len(self.of_picture)} pictures, first "
                         f"{unused[0]}; their boxes are left out")  # fmt: skip
        return lines

    def problems(self) -> list[str]:
        """Return what keeps all of it from being used: pictures of which no post has any."""
        if self.used or not self.of_picture:
            return []
        first = next(iter(self.of_picture))
        return [f"{self.source}: no post has any of its {len(self.of_picture)} pictures, the first is {first}; do the "
                "posts name their pictures?"]  # fmt: skip


def _owners(region: Region, entities: tuple[Entity, ...]) -> list[int]:
    """Return the mentions that a box shows: all of its surface, or the only one of its type."""
    for surface in (region.surface, region.either):
        same = [
            number for number, entity in enumerate(entities) if surface and _folded(entity.text) == _folded(surface)
        ]
        if same:
            return same
    if region.surface is not None:
        raise ValueError(
            f"a box shows {region.surface!r}, which is no mention of the post; mend its text, or take it out"
        )
    label = region.label or region.either
    same = [number for number, entity in enumerate(entities) if entity.label == label]
    if len({_folded(entities[number].text) for number in same}) == 1:
        return same
    raise ValueError(
        f"to which of {len(same)} mentions a box called {region.name!r} belongs nobody can tell; write the mention "
        "into an attribute 'text' of the box"
    )


def _folded(surface: str) -> str:
    return "".join(surface.split()).casefold()


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
            f"{path}: no boxes in COCO (JSON), CVAT (XML) or a folder of Pascal VOC (XML): {reason}"
        ) from None


def of_coco(content: object) -> dict[str, list[Region]]:
    """Read boxes as COCO writes them: ``[x, y, width, height]`` in pixels.

    Raises:
        ValueError: A box is wrong, or of a picture or type that is not listed.
    """
    if not isinstance(content, Mapping) or not {"images", "annotations"} <= content.keys():
        raise ValueError("it needs 'images' and 'annotations'")
    names = {each["id"]: str(each["file_name"]) for each in content["images"]}
    types = {each["id"]: str(each["name"]) for each in content.get("categories", [])}
    regions: dict[str, list[Region]] = {name: [] for name in names.values()}
    for number, each in enumerate(content["annotations"], start=1):
        if "bbox" not in each:
            continue  # a caption
        if each["image_id"] not in names or each.get("category_id") not in {None, *types}:
            raise ValueError(f"annotation {number} is of an image or a category that is not listed")
        x, y, width, height = each["bbox"]
        label = types.get(each.get("category_id"))
        box = _checked((x, y, x + width, y + height), f"annotation {number}")
        regions[names[each["image_id"]]].append(Region(box, label=label, surface=_surface(each)))
    return regions


def _of_cvat(root: ElementTree.Element) -> dict[str, list[Region]]:
    if root.tag != "annotations" or root.find("image") is None:
        held = "track" if root.find("track") is not None else root.tag
        raise ValueError(f"<{held}> in place of <image>; export 'CVAT for images 1.1'")
    regions: dict[str, list[Region]] = {}
    for image in root.iter("image"):
        name = image.attrib["name"]
        regions[name] = []
        for shape in image:
            if shape.tag != "box":
                raise ValueError(f"a <{shape.tag}> on {name} is no box; draw a box, or take it out")
            if float(shape.get("rotation", "0")):
                raise ValueError(f"a box on {name} is rotated; draw it upright")
            x0, y0, x1, y1 = (_number(shape.attrib[side]) for side in ("xtl", "ytl", "xbr", "ybr"))
            said = {each.get("name", ""): each.text for each in shape.iter("attribute")}
            box = _checked((x0, y0, x1, y1), f"a box on {name}")
            regions[name].append(Region(box, label=shape.get("label"), surface=_surface(said)))
    return regions


def _of_voc(folder: Path) -> Iterator[tuple[str, list[Region]]]:
    files = sorted(folder.glob("*.xml"))
    if not files:
        raise ValueError("no XML file in the folder")
    for file in files:
        boxes, _, reasons = parse_boxes(read_bytes(file))
        if reasons:
            raise ValueError(f"{file.name}: {reasons[0]}")
        yield file.stem, [Region(box.box, either=name) for name, same in boxes.items() for box in same]


def _number(text: str) -> int | float:
    value = float(text)
    return int(value) if value.is_integer() else value


def _checked(box: Coordinates, where: str) -> Coordinates:
    try:
        return Box(box=box).box
    except ValueError:
        raise ValueError(f"{where}: box {list(box)} is inverted, empty, negative or no number") from None


def _surface(values: Mapping[str, Any]) -> str | None:
    return next((values[name] for name in SURFACE_NAMES if isinstance(values.get(name), str) and values[name]), None)


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
