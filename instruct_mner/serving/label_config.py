"""Labelling interfaces of Label Studio, as far as pre-annotations refer to them.

An interface (shortened)::

    <View><Labels name="label" toName="text"><Label value="PER"/></Labels><Text name="text" value="$text"/>
    <RectangleLabels name="box" toName="image"><Label value="PER"/></RectangleLabels>
    <Image name="image" value="$image"/></View>

Source: https://labelstud.io/tags/labels, https://labelstud.io/tags/text and https://labelstud.io/tags/image
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
        RefusedError: It is not XML, declares entities, has no labels for spans of a text, or for those of several, has
            labels that no answer can hold or that stand in two tags, or a text that is not in the tasks.
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
    # With the text that they are on; other tags than texts may have labels, too.
    pairs = [(tag, text) for tag in root.iter("Labels") for text in _targets(tag, by_name) if text.tag == "Text"]
    if not pairs:
        raise RefusedError(422, "label_config has no <Labels> on a <Text>: spans have no place in it")
    text = pairs[0][1]
    if (other := next((each for _, each in pairs if each is not text), None)) is not None:
        names = f"{text.get('name')!r:.80} and {other.get('name')!r:.80}"
        raise RefusedError(
            422, f"label_config: there are <Labels> on the texts {names}; a post has one: keep those of one"
        )
    _check_text(text)
    return _with_pictures(root, by_name, [tag for tag, _ in pairs], text)


def _targets(tag: ElementTree.Element, by_name: Mapping[str | None, ElementTree.Element]) -> list[ElementTree.Element]:
    """Return the tags that a tag with labels is on."""
    names = dict.fromkeys(each.strip() for each in tag.get("toName", "").split(","))
    return [by_name[name] for name in names if name in by_name]


def _check_text(text: ElementTree.Element) -> None:
    """Refuse a text that is not in the task as it is shown.

    Raises:
        RefusedError: It is fetched from an address, or encoded.
    """
    for attribute, plain in (("valueType", "text"), ("encoding", "none")):
        if (value := text.get(attribute, plain)) != plain:
            tag = f'<Text name="{text.get("name"):.80}" {attribute}="{value:.80}">'
            reason = f"texts are read from the tasks as they stand there; take {attribute} out"
            raise RefusedError(422, f"label_config: {tag}: {reason}")


def _with_pictures(
    root: ElementTree.Element,
    by_name: Mapping[str | None, ElementTree.Element],
    labels: Sequence[ElementTree.Element],
    text: ElementTree.Element,
) -> LabelConfig:
    tags = TagNames(labels=labels[0].get("name", "label"), text=text.get("name", "text"), labels_of=_by_label(labels))
    # The picture is read whether or not it takes rectangles, which are only part of an answer.
    images = list(root.iter("Image"))
    rectangles = root.iter("RectangleLabels")
    pairs = [(tag, image) for tag in rectangles for image in _targets(tag, by_name) if image.tag == "Image"]
    if pairs:
        first, marked = pairs[0]
        tags = replace(
            tags,
            rectangles=first.get("name", "box"),
            image=marked.get("name", "image"),
            rectangles_of=_by_label([tag for tag, image in pairs if image is marked]),
        )
        images.sort(key=lambda image: image is not marked)
    fields = list(dict.fromkeys(_field(each, "image") for each in images))
    return LabelConfig(
        tags=tags,
        text_field=_field(text, "text"),
        image_field=fields[0] if fields else None,
        further_image_fields=tuple(fields[1:]),
        has_rectangles=bool(pairs),
        labels=tuple(label for tag in labels for label in _labels(tag)),
    )


def _by_label(tags: Sequence[ElementTree.Element]) -> dict[str, str]:
    """Return the name of the tag of each label, where there are several tags.

    Raises:
        RefusedError: It cannot be told which tag a label belongs to.
    """
    if len(tags) == 1:
        return {}
    names: dict[str, str] = {}
    for tag in tags:
        name, labels = tag.get("name", ""), _labels(tag)
        if not labels:
            raise RefusedError(422, f"label_config: beside other <{tag.tag}>, {name!r:.80} must name its labels")
        if (label := next((each for each in labels if each in names), None)) is not None:
            both = f"{names[label]!r:.80} and {name!r:.80}"
            raise RefusedError(422, f"label_config: label {label!r} is in the <{tag.tag}> {both}; keep it in one")
        names |= dict.fromkeys(labels, name)
    return names


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
