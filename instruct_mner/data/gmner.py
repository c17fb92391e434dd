r"""GMNER folders: ``txt/`` with CoNLL files, ``xml/`` with the boxes of each post as Pascal VOC.

A raw post, ``txt/train.txt`` (``\t`` is a tab), and what matters of ``xml/575705.xml``::

    IMGID:575705                       <annotation>
    RT\tO                                <filename>575705.jpg</filename>
    ...                                  <size><width>600</width><height>800</height><depth>3</depth></size>
    Webber\tB-PER                        <object><name>Webber MS</name><bndbox>
    MS\tI-PER                              <xmin>132</xmin><ymin>22</ymin><xmax>500</xmax><ymax>706</ymax>
    welcomes\tO                          </bndbox></object></annotation>

``<name>`` is the surface of an entity; every mention with that surface gets all boxes of that name. Where no
name fits exactly, case and spaces are ignored (``didierdrogba``: ``Didier Drogba``), as the published counts
of groundable mentions do. No XML file means that nothing of the post is seen: ``boxes=()``; a folder without the XML
file of any post is refused. A ``<size>`` that is not that of the picture is refused. ``<filename>`` is
not used: it may say ``575705_region.jpg``, while the picture is ``575705.jpg``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree

from instruct_mner.data.bio import decode_spans, join_tokens
from instruct_mner.data.column_layout import Layout
from instruct_mner.data.columns import TaggedPost, parse
from instruct_mner.data.conll import to_examples
from instruct_mner.data.dataset import Dataset, Reading, ReadOptions, dataset_name, missing_pictures, picture_folder
from instruct_mner.data.picture_files import find_picture
from instruct_mner.errors import ConfigError, DataError
from instruct_mner.files import read_bytes
from instruct_mner.images import image_size
from instruct_mner.schema.records import Box, Coordinates, Entity, Example

Boxes = dict[str, list[Box]]
"""Boxes of a post by the name that stands in its XML file."""

_SIDES = ("xmin", "ymin", "xmax", "ymax")
# Source: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf
_METADATA = frozenset({"folder", "filename", "path", "source", "owner", "size", "segmented"})


def read(path: Path, options: ReadOptions) -> Reading:
    """Read ``folder/txt/<split>.txt`` with the boxes in ``folder/xml``; see ``Reader``."""
    folder = path.parent.parent
    content = read_bytes(path)
    digest = hashlib.sha256(content)
    columns = parse(content, path, Layout())
    posts, problems, joining = columns.posts, columns.problems, columns.joining()
    root = picture_folder(folder, options.images)
    examples = to_examples(posts, root, options, joining.joiners)
    tolerant = to_examples(posts, root, options, joining.joiners, "tolerant") if options.decode == "strict" else None
    xml = xml_folder(folder, options.xml)
    if xml is None:
        problems.append(f"{folder / 'xml'}: there is no such folder; for posts without boxes, read as conll:{path}")
    else:
        examples, reasons = link_boxes(posts, examples, xml, root, digest.update)
        tolerant = tolerant and link_boxes(posts, tolerant, xml, None)[0]
        problems += reasons
    dataset = Dataset(
        name=dataset_name(folder, path.stem),
        format="gmner",
        path=path,
        sha256=digest.hexdigest(),
        examples=examples,
        image_root=root,
        missing_images=missing_pictures(examples, root),
        file_sha256=hashlib.sha256(content).hexdigest(),
        segmentation=joining.segmentation,
        notes=columns.notes,
    )
    return Reading(dataset, tuple(problems), columns.count_entities(), tolerant)


def xml_folder(folder: Path, chosen: Path | None) -> Path | None:
    """Return the folder of the boxes: the one that was given, else ``xml`` in the folder of the set, else ``None``.

    Raises:
        ConfigError: The user's choice is not a folder.
    """
    if chosen is None:
        return folder / "xml" if (folder / "xml").is_dir() else None
    if not chosen.is_dir():
        raise ConfigError(f"--xml {chosen}: there is no such folder; check the path")
    return chosen


def link_boxes(
    posts: Sequence[TaggedPost],
    examples: Sequence[Example],
    xml: Path,
    pictures: Path | None,
    digest: Callable[[bytes], None] = lambda content: None,
) -> tuple[tuple[Example, ...], list[str]]:
    """Give every entity the boxes of its name.

    Args:
        posts: The posts as they stand in the file.
        examples: The same, as records.
        xml: Folder of the boxes, a file a post.
        pictures: Folder of the pictures, to whose sizes those in the files are compared.
        digest: Function that is given the content of every file that was used.

    Returns:
        The posts with boxes, and everything that is wrong in the files.
    """
    linked, problems = [], []
    num_files = 0
    for post, example in zip(posts, examples, strict=True):
        boxes: Boxes = {}
        annotation = xml / f"{post.id}.xml"
        if annotation.is_file():
            num_files += 1
            content = read_bytes(annotation)
            digest(content)
            boxes, size, reasons = parse_boxes(content)
            reasons += _unlinked(post, boxes)
            if boxes and pictures is not None:
                reasons += _other_size(example, pictures, size, boxes)
            problems += [f"{annotation}: {reason}" for reason in reasons]
        linked.append(_with_boxes(example, boxes))
    if posts and not num_files:
        problems.append(
            f"{xml}: no XML file belongs to any of the {len(posts)} posts (looked for: {posts[0].id}.xml), so that "
            "none would be visible; name the folder with --xml DIR, or read posts without boxes as conll:PATH"
        )
    return tuple(linked), problems


def _other_size(example: Example, pictures: Path, size: tuple[float, float] | None, boxes: Boxes) -> list[str]:
    """Say that the size in the file, or a box, is not of the picture, so that boxes are of another one or scale."""
    path = find_picture(pictures, example.images[0]) if example.images else None
    if path is None:
        return []
    try:
        real = image_size(path)
    except DataError:
        return []  # said where pictures are opened
    if real == size:
        return []
    if size is None:
        width, height = real
        outside = [box.box for same in boxes.values() for box in same if box.box[2] > width or box.box[3] > height]
        return [
            f"box {list(box)} lies outside of {path.name}, {width} x {height} pixels; boxes are pixels of the picture, "
            "[x0, y0, x1, y1]"
            for box in outside
        ]
    return [
        f"its size of {size[0]:g} x {size[1]:g} is not that of {path.name}, {real[0]} x {real[1]} pixels when upright; "
        "draw the boxes on this picture, or scale them to it"
    ]


class _WithoutDoctype(ElementTree.TreeBuilder):
    """Refuses document types: only they can declare the entities of an XML bomb."""

    def doctype(self, name: str, _public: str | None, _system: str | None) -> None:
        """Refuse a document type; called by the parser at a ``<!DOCTYPE``."""
        raise ValueError(f"holds a document type ({name!r}), which is refused; take the line out")


def parse_boxes(xml: bytes) -> tuple[Boxes, tuple[float, float] | None, list[str]]:
    """Read a Pascal VOC file, whatever its namespace and the name of its root.

    Returns:
        Boxes by name, width and height of the picture where they are given, and everything that is wrong.
    """
    parser = ElementTree.XMLParser(target=_WithoutDoctype())  # noqa: S314 (see _WithoutDoctype)
    try:
        annotation = ElementTree.fromstring(xml, parser)  # noqa: S314
    except ElementTree.ParseError as error:
        return {}, None, [f"not well-formed XML: {error}; save the file again"]
    except ValueError as error:
        return {}, None, [str(error)]
    for element in annotation.iter():
        element.tag = element.tag.rpartition("}")[2]
    reasons = _unknown_layout(annotation)
    size, reason = _size(annotation)
    reasons += reason
    boxes: Boxes = {}
    for element in annotation.iter("object"):
        name = (element.findtext("name") or "").strip()
        if not name:
            reasons.append("an object has no name; write the mention that it shows")
            continue
        bndboxes = element.findall("bndbox")
        if not bndboxes:
            reasons.append(f"object {name!r} has no bndbox; draw its box, or take it out")
        for bndbox in bndboxes:
            try:
                box = _box(bndbox, size)
            except ValueError as error:
                reasons.append(f"object {name!r}: {error}; mend the box, or take it out")
            else:
                boxes.setdefault(name, []).append(box)
    return boxes, size, reasons


def _unknown_layout(annotation: ElementTree.Element) -> list[str]:
    """Say that a file is no Pascal VOC: read as such, nothing of its post would be visible."""
    inside = {child for element in annotation.iter("object") for child in element.iter()}
    boxes = sum(element.tag == "bndbox" and element not in inside for element in annotation.iter())
    if boxes:
        return [f"{boxes} bndbox element(s) stand outside of an <object>; save the XML as Pascal VOC"]
    if annotation.find(".//object") is not None or annotation.tag == "object":
        return []
    others = [child.tag for child in annotation if child.tag not in _METADATA]
    if annotation.tag == "annotation" and not others:
        return []
    return [
        f"an XML file of another layout: <{annotation.tag}> holds no <object>"
        + (f" but <{others[0]}>" if others else "")
        + "; save it as Pascal VOC (<annotation> with an <object> for each box), or take it out"
    ]


def _size(annotation: ElementTree.Element) -> tuple[tuple[float, float] | None, list[str]]:
    size = annotation.find(".//size")
    if size is None or not size.findtext("width"):
        return None, []
    try:
        width, height = _number(size, "width"), _number(size, "height")
    except ValueError as error:
        return None, [f"size: {error}; mend it, or take it out"]
    # Some tools write 0 x 0 where they did not open the picture.
    return ((width, height) if width and height else None), []


def _number(element: ElementTree.Element, tag: str) -> int | float:
    text = (element.findtext(tag) or "").strip()
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{tag} is {text!r}, not a number")
    return int(value) if value.is_integer() else value


def _box(bndbox: ElementTree.Element, size: tuple[float, float] | None) -> Box:
    x0, y0, x1, y1 = (_number(bndbox, side) for side in _SIDES)
    box: Coordinates = (x0, y0, x1, y1)
    if min(x0, y0) < 0 or not x0 < x1 or not y0 < y1:
        raise ValueError(f"box {list(box)} is inverted, empty or negative")
    if max(box) <= 1:
        raise ValueError(f"box {list(box)} lies in 0..1, boxes are pixels of the picture")
    if size is not None and (x1 > size[0] or y1 > size[1]):
        raise ValueError(f"box {list(box)} lies outside of its picture of {size[0]:g} x {size[1]:g} pixels")
    return Box(image=0, box=box)


def _folded(surface: str) -> str:
    return surface.casefold().replace(" ", "")


def _with_boxes(example: Example, boxes: Boxes) -> Example:
    """Return the post with the boxes of each entity; those without any are annotated as not visible."""
    spelled = {entity.text for entity in example.gold}

    def link(entity: Entity) -> Entity:
        names = [name for name in boxes if _folded(name) == _folded(entity.text)]
        if entity.text in boxes:
            # A name in another spelling belongs to the mention in that spelling, if there is one.
            names = [name for name in names if name == entity.text or name not in spelled]
        return entity.model_copy(update={"boxes": tuple(box for name in names for box in boxes[name])})

    return example.model_copy(update={"entities": tuple(link(entity) for entity in example.gold)})


def _unlinked(post: TaggedPost, boxes: Boxes) -> list[str]:
    """Return a problem for each name that is no entity of the post, whose boxes would be lost in silence."""
    # Tolerant whatever the user chose: a box whose entity strict decoding drops is no mistake of the file.
    _, entities = join_tokens(post.tokens, decode_spans(post.tags, "tolerant"))
    surfaces = {_folded(entity.text) for entity in entities}
    return [
        f"object {name!r} is no entity of the post in line {post.line}; mend its name, or take it out"
        for name in boxes
        if _folded(name) not in surfaces
    ]
