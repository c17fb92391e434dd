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
of groundable mentions do. No XML file means that nothing of the post is seen: ``boxes=()``. ``<filename>``
is not used: it may say ``575705_region.jpg``, while the picture is ``575705.jpg``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree

from instruct_mner.data.bio import decode_spans, join_tokens
from instruct_mner.data.columns import Layout, Post, count_entities, parse, to_example
from instruct_mner.data.conll import picture_of
from instruct_mner.data.dataset import Dataset, Reading, ReadOptions, dataset_name, missing_pictures, picture_folder
from instruct_mner.errors import ConfigError
from instruct_mner.files import read_bytes
from instruct_mner.schema.records import Box, Coordinates, Entity, Example

Boxes = dict[str, list[Box]]
"""Boxes of a post by the name that stands in its XML file."""

_SIDES = ("xmin", "ymin", "xmax", "ymax")


def read(path: Path, options: ReadOptions) -> Reading:
    """Reads ``folder/txt/<split>.txt`` with the boxes in ``folder/xml``; see ``Reader``."""
    folder = path.parent.parent
    content = read_bytes(path)
    digest = hashlib.sha256(content)
    posts, problems = parse(content, path, Layout())
    root = picture_folder(folder, options.images)
    examples = [to_example(post, picture_of(post, root), options.decode) for post in posts]
    xml = xml_folder(folder, options.xml)
    if xml is None:
        problems.append(f"{folder / 'xml'}: there is no such folder; for posts without boxes, read as conll:{path}")
    else:
        examples, reasons = link_boxes(posts, examples, xml, digest.update)
        problems += reasons
    dataset = Dataset(
        name=dataset_name(folder, path.stem),
        format="gmner",
        path=path,
        sha256=digest.hexdigest(),
        examples=tuple(examples),
        image_root=root,
        missing_images=missing_pictures(examples, root),
        file_sha256=hashlib.sha256(content).hexdigest(),
    )
    return Reading(dataset, tuple(problems), count_entities(posts))


def xml_folder(folder: Path, chosen: Path | None) -> Path | None:
    """Where the boxes lie: the folder that was given, else ``xml`` in the folder of the set, else ``None``.

    Raises:
        ConfigError: The user's choice is not a folder.
    """
    if chosen is None:
        return folder / "xml" if (folder / "xml").is_dir() else None
    if not chosen.is_dir():
        raise ConfigError(f"--xml {chosen}: there is no such folder; check the path")
    return chosen


def link_boxes(
    posts: Sequence[Post], examples: Sequence[Example], xml: Path, digest: Callable[[bytes], None]
) -> tuple[list[Example], list[str]]:
    """Gives every entity the boxes of its name.

    Args:
        posts: As they stand in the file.
        examples: The same, as records.
        xml: Folder of the boxes, a file a post.
        digest: Is told every file that was used.

    Returns:
        The posts with boxes, and what is wrong in the files.
    """
    linked, problems = [], []
    for post, example in zip(posts, examples, strict=True):
        boxes: Boxes = {}
        annotation = xml / f"{post.id}.xml"
        if annotation.is_file():
            content = read_bytes(annotation)
            digest(content)
            boxes, reasons = parse_boxes(content)
            reasons += _unlinked(post, boxes)
            problems += [f"{annotation}: {reason}" for reason in reasons]
        linked.append(_with_boxes(example, boxes))
    return linked, problems


class _WithoutDoctype(ElementTree.TreeBuilder):
    """Refuses document types: only they can declare the entities of an XML bomb."""

    def doctype(self, name: str, _public: str | None, _system: str | None) -> None:
        """Called by the parser at a ``<!DOCTYPE``."""
        raise ValueError(f"holds a document type ({name!r}), which is refused; take the line out")


def parse_boxes(xml: bytes) -> tuple[Boxes, list[str]]:
    """Boxes by name from a Pascal VOC file, and what is wrong in it."""
    parser = ElementTree.XMLParser(target=_WithoutDoctype())  # noqa: S314 (see _WithoutDoctype)
    try:
        annotation = ElementTree.fromstring(xml, parser)  # noqa: S314
    except ElementTree.ParseError as error:
        return {}, [f"not well-formed XML: {error}; save the file again"]
    except ValueError as error:
        return {}, [str(error)]
    boxes: Boxes = {}
    reasons: list[str] = []
    for element in annotation.iterfind("object"):
        name = element.findtext("name") or ""
        if not name:
            reasons.append("an object has no name; write the mention that it shows")
            continue
        found = element.findall("bndbox")
        if not found:
            reasons.append(f"object {name!r} has no bndbox; draw its box, or take it out")
        for bndbox in found:
            try:
                box = _box(bndbox, annotation)
            except ValueError as error:
                reasons.append(f"object {name!r}: {error}; mend the box, or take it out")
            else:
                boxes.setdefault(name, []).append(box)
    return boxes, reasons


def _number(element: ElementTree.Element, tag: str) -> int | float:
    text = (element.findtext(tag) or "").strip()
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{tag} is {text!r}, not a number")
    return int(value) if value.is_integer() else value


def _box(bndbox: ElementTree.Element, annotation: ElementTree.Element) -> Box:
    x0, y0, x1, y1 = (_number(bndbox, side) for side in _SIDES)
    box: Coordinates = (x0, y0, x1, y1)
    if min(x0, y0) < 0 or not x0 < x1 or not y0 < y1:
        raise ValueError(f"box {list(box)} is inverted, empty or negative")
    size = annotation.find("size")
    if size is not None and size.findtext("width"):
        width, height = _number(size, "width"), _number(size, "height")
        # Some tools write 0 x 0 where they did not open the picture.
        if width and height and (x1 > width or y1 > height):
            raise ValueError(f"box {list(box)} lies outside of its picture of {width} x {height} pixels")
    return Box(image=0, box=box)


def _folded(surface: str) -> str:
    return surface.casefold().replace(" ", "")


def _with_boxes(example: Example, boxes: Boxes) -> Example:
    """The post with each entity's boxes; those without any are annotated as not visible."""
    folded: Boxes = {}
    for name, found in boxes.items():
        folded.setdefault(_folded(name), []).extend(found)

    def link(entity: Entity) -> Entity:
        found = boxes.get(entity.text) or folded.get(_folded(entity.text), [])
        return entity.model_copy(update={"boxes": tuple(found)})

    return example.model_copy(update={"entities": tuple(link(entity) for entity in example.gold)})


def _unlinked(post: Post, boxes: Boxes) -> list[str]:
    """Names that are no entity of the post: their boxes would be lost without a word."""
    # Tolerant whatever the user chose: a box whose entity strict decoding drops is no mistake of the file.
    _, entities = join_tokens(post.tokens, decode_spans(post.tags, "tolerant"))
    surfaces = {_folded(entity.text) for entity in entities}
    return [
        f"object {name!r} is no entity of the post in line {post.line}; mend its name, or take it out"
        for name in boxes
        if _folded(name) not in surfaces
    ]
