"""Rows of Hugging Face ``datasets`` as examples: which column is what, by the names that are usual."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from instruct_mner.data.bio import decode_spans, join_tokens
from instruct_mner.data.tag_schemes import is_tag
from instruct_mner.schema.choices import Decode
from instruct_mner.schema.records import Box, Entity, Example

Row = dict[str, Any]

_NAMES = {
    "id": ("id",),
    "text": ("text", "sentence"),
    "tokens": ("tokens", "words"),
    "tags": ("ner_tags", "tags", "labels"),
    "entities": ("entities",),
    "images": ("images", "image"),
}


@dataclass(frozen=True)
class Columns:
    """The columns of a data set.

    Attributes:
        names: Names by what they hold: ``id``, ``text``, ``tokens``, ``tags``, ``entities``, ``images``.
        tag_names: Names of the numbers in ``tags``; ``None`` where tags are texts.
        label_names: Names of the numbers that are labels of ``entities``; ``None`` where labels are texts.
        holds_pictures: Whether ``images`` are pictures, not names of files.
    """

    names: Mapping[str, str]
    tag_names: Sequence[str] | None
    label_names: Sequence[str] | None
    holds_pictures: bool

    @classmethod
    def of(cls, features: Mapping[str, Any]) -> Self:
        """Finds them by name, and says what they hold by their features."""
        import datasets

        names = {
            role: next(name for name in known if name in features)
            for role, known in _NAMES.items()
            if not features.keys().isdisjoint(known)
        }
        tag = _item(features[names["tags"]]) if "tags" in names else None
        entity = _item(features[names["entities"]]) if "entities" in names else None
        label = _item(entity.get("label", entity.get("type"))) if isinstance(entity, Mapping) else None
        return cls(
            names,
            tag_names=tag.names if isinstance(tag, datasets.ClassLabel) else None,
            label_names=label.names if isinstance(label, datasets.ClassLabel) else None,
            holds_pictures="images" in names and isinstance(_item(features[names["images"]]), datasets.Image),
        )

    def problems(self, columns: Sequence[str]) -> list[str]:
        """Why the data set cannot be read at all."""
        if not self.names.keys() & {"text", "tokens"}:
            return [f"no column is named text, sentence, tokens or words; found: {', '.join(columns)}"]
        if "tags" in self.names and "tokens" not in self.names:
            return [f"column {self.names['tags']!r} holds tags, but there are no tokens or words beside it"]
        return []

    def to_example(self, row: Row, number: int, decode: Decode) -> Example:
        """A row as a record.

        Raises:
            ValueError: What is wrong in it.
        """
        tokens, tags = self._get(row, "tokens"), self.tags_of(row)
        entities: list[Entity] | None
        if tokens is not None:
            # A text beside the tokens says whether they are joined with spaces; another text has no use for tags.
            joiner = "" if self._get(row, "text") == "".join(tokens) else " "
            text, entities = join_tokens(tokens, decode_spans(tags or [], decode), joiner)
        else:
            text, entities = self._get(row, "text"), None
        if text is None or (tags is not None and len(tags) != len(tokens)):
            found = "has no text" if text is None else f"has {len(tokens)} tokens and {len(tags or [])} tags"
            raise ValueError(f"the row {found}")
        if tags is None:
            marked = self._get(row, "entities")
            entities = None if marked is None else [self._entity(each, text) for each in _each(marked)]
        identifier = self._get(row, "id")
        if identifier is None:
            # With a piece of the text's hash, so that rows of two sets are never taken for the same post.
            identifier = f"{hashlib.sha256(text.encode()).hexdigest()[:8]}-{number}"
        images = self._get(row, "images") or ()
        return Example(
            id=identifier,
            text=text,
            images=(images,) if isinstance(images, str) else tuple(images),
            entities=None if entities is None else tuple(entities),
            tokens=None if tokens is None else tuple(tokens),
        )

    def tags_of(self, row: Row) -> list[str] | None:
        """The BIO tags of a row; ``None`` where it is not annotated.

        Raises:
            ValueError: A tag is none.
        """
        found = self._get(row, "tags")
        tags = None if found is None else [_named(tag, self.tag_names) for tag in found]
        wrong = [tag for tag in tags or () if not is_tag(tag)]
        if wrong:
            raise ValueError(f"tag {wrong[0]!r} is none of O, B-<type>, I-<type>")
        return tags

    def _get(self, row: Row, role: str) -> Any:
        return row[self.names[role]] if role in self.names else None

    def _entity(self, marked: Row, text: str) -> Entity:
        label = marked.get("label", marked.get("type"))
        start, end = marked.get("start"), marked.get("end")
        if label is None or not isinstance(start, int) or not isinstance(end, int):
            raise ValueError(f"entity {marked} needs start, end and label")
        surface = marked.get("text")
        boxes = marked.get("boxes")
        return Entity(
            start=start,
            end=end,
            text=text[start:end] if surface is None else surface,
            label=_named(label, self.label_names),
            boxes=None if boxes is None else tuple(_box(box) for box in boxes),
        )


def _item(feature: Any) -> Any:
    """What a list holds, and a list of lists; anything else is itself."""
    while hasattr(feature, "feature"):
        feature = feature.feature
    return feature


def _each(marked: Any) -> list[Row]:
    """Entities one by one: a ``Sequence`` of a struct comes as a struct of lists."""
    if isinstance(marked, Mapping):
        return [dict(zip(marked, values, strict=True)) for values in zip(*marked.values(), strict=True)]
    return list(marked)


def _named(value: Any, names: Sequence[str] | None) -> str:
    if isinstance(value, str):
        return value
    if names is None:
        raise ValueError(f"label {value!r} is a number without a name; the column must be of the type ClassLabel")
    if not 0 <= value < len(names):
        raise ValueError(f"label {value!r} is none of the {len(names)} that the column names")
    return str(names[value])


def _box(box: Any) -> Box:
    return Box.model_validate(box) if isinstance(box, Mapping) else Box(box=tuple(box))
