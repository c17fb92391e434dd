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
from instruct_mner.schema.labels import why_no_label
from instruct_mner.serving.entities_models import MOST_CHARACTERS_OF_A_LABEL
from instruct_mner.serving.limits import RefusedError


@dataclass(frozen=True, kw_only=True)
class LabelConfig:
    """A labelling interface.

    Attributes:
        tags: Names of its tags.
        text_field: Field of a task that holds the text.
        image_field: Field of a task that holds the picture of the post: that with rectangles, or the first;
            ``None`` where the interface shows none.
        further_image_fields: Fields of further pictures, which are not read.
        has_rectangles: Whether the picture takes rectangles.
        labels: Labels of spans; empty where the interface does not name any.
    """

    tags: TagNames = field(default_factory=TagNames)
    text_field: str = "text"
    image_field: str | None = "image"
    further_image_fields: tuple[str, ...] = ()
    has_rectangles: bool = True
    labels: tuple[str, ...] = ()


def read_label_config(source: str | None) -> LabelConfig:
    """Read a labelling interface.

    Args:
        source: XML of the interface; without it, names are those that ``convert`` writes.

    Raises:
        RefusedError: It is not XML, declares entities, has no labels for spans of a text, or has labels that no
            answer can hold.
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
            return _with_pictures(root, by_name, labels, text)
    raise RefusedError(422, "label_config has no <Labels> on a <Text>: spans have no place in it")


def _with_pictures(
    root: ElementTree.Element,
    by_name: dict[str | None, ElementTree.Element],
    labels: ElementTree.Element,
    text: ElementTree.Element,
) -> LabelConfig:
    names = {"labels": labels.get("name", "label"), "text": text.get("name", "text")}
    # The picture is read whether or not it takes rectangles, which are only part of an answer.
    images = list(root.iter("Image"))
    pairs = [(each, by_name.get(each.get("toName"))) for each in root.iter("RectangleLabels")]
    rectangles, marked = next(((each, image) for each, image in pairs if image in images), (None, None))
    if rectangles is not None and marked is not None:
        names |= {"rectangles": rectangles.get("name", "box"), "image": marked.get("name", "image")}
        images.sort(key=lambda image: image is not marked)
    fields = list(dict.fromkeys(_field(each, "image") for each in images))
    return LabelConfig(
        tags=TagNames(**names),
        text_field=_field(text, "text"),
        image_field=fields[0] if fields else None,
        further_image_fields=tuple(fields[1:]),
        has_rectangles=rectangles is not None,
        labels=_labels(labels),
    )


def _labels(tag: ElementTree.Element) -> tuple[str, ...]:
    """Return the labels of a tag.

    Raises:
        RefusedError: No answer can hold one of them.
    """
    names = tuple(dict.fromkeys(value for each in tag.iter("Label") if (value := each.get("value"))))
    for name in names:
        if len(name) > MOST_CHARACTERS_OF_A_LABEL:
            most = MOST_CHARACTERS_OF_A_LABEL
            raise RefusedError(422, f"label_config: label {name[:40]!r}… is longer than the {most} characters allowed")
        if reason := why_no_label(name):
            raise RefusedError(422, f"label_config: {reason}")
    return names


def _field(tag: ElementTree.Element, default: str) -> str:
    # A list of pictures is named by another attribute.
    return (tag.get("value") or tag.get("valueList") or "").removeprefix("$") or default
