"""Labelling interfaces of Label Studio, as far as pre-annotations refer to them.

An interface (shortened)::

    <View><Labels name="label" toName="text"><Label value="PER"/></Labels><Text name="text" value="$text"/>
    <RectangleLabels name="box" toName="image"><Label value="PER"/></RectangleLabels>
    <Image name="image" value="$image"/></View>

Source: https://labelstud.io/tags/labels, https://labelstud.io/tags/text and https://labelstud.io/tags/image
"""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.etree import ElementTree

from instruct_mner.data.exporting.label_studio import TagNames
from instruct_mner.serving.limits import RefusedError


@dataclass(frozen=True, kw_only=True)
class LabelConfig:
    """A labelling interface.

    Attributes:
        tags: Names of its tags.
        text_field: Field of a task that holds the text.
        image_field: Field of a task that holds the picture; ``None`` where rectangles are not asked for.
        labels: Labels of spans; empty where the interface does not name any.
    """

    tags: TagNames = field(default_factory=TagNames)
    text_field: str = "text"
    image_field: str | None = "image"
    labels: tuple[str, ...] = ()


def read_label_config(source: str | None) -> LabelConfig:
    """Read a labelling interface.

    Args:
        source: XML of the interface; without it, names are those that ``convert`` writes.

    Raises:
        RefusedError: It is not XML, declares entities, or has no labels for spans of a text.
    """
    if not source:
        return LabelConfig()
    # Declared entities could grow without bound.
    if "<!" in source.replace("<!--", ""):
        raise RefusedError(422, "label_config: a document type or CDATA is not read; send the tags alone")
    try:
        root = ElementTree.fromstring(source)  # noqa: S314 (without declarations, see above)
    except (ElementTree.ParseError, ValueError) as error:
        raise RefusedError(422, f"label_config is not XML: {error}") from None
    by_name = {each.get("name"): each for each in root.iter() if each.get("name")}
    for labels in root.iter("Labels"):
        text = by_name.get(labels.get("toName"))
        if text is not None and text.tag == "Text":
            return _with_rectangles(root, by_name, labels, text)
    raise RefusedError(422, "label_config has no <Labels> on a <Text>: spans have no place in it")


def _with_rectangles(
    root: ElementTree.Element,
    by_name: dict[str | None, ElementTree.Element],
    labels: ElementTree.Element,
    text: ElementTree.Element,
) -> LabelConfig:
    names = {"labels": labels.get("name", "label"), "text": text.get("name", "text")}
    field = None
    for rectangles in root.iter("RectangleLabels"):
        image = by_name.get(rectangles.get("toName"))
        if image is not None and image.tag == "Image":
            names |= {"rectangles": rectangles.get("name", "box"), "image": image.get("name", "image")}
            field = _field(image, "image")
            break
    return LabelConfig(
        tags=TagNames(**names),
        text_field=_field(text, "text"),
        image_field=field,
        labels=tuple(dict.fromkeys(value for each in labels.iter("Label") if (value := each.get("value")))),
    )


def _field(tag: ElementTree.Element, default: str) -> str:
    return tag.get("value", "").removeprefix("$") or default
