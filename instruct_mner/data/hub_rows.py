"""Rows of Hugging Face ``datasets`` as examples: which column is what, by the names that are usual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any, Self

from instruct_mner.data.bio import decode_spans
from instruct_mner.data.importing.generic import as_id, check_tokens, to_names
from instruct_mner.data.importing.marks import to_mark
from instruct_mner.data.importing.posts import Mark, RawPost
from instruct_mner.data.importing.roles import asks_about, question
from instruct_mner.data.lenient import INDEX_COLUMNS
from instruct_mner.data.tag_schemes import are_chunks, is_tag, why_no_tag
from instruct_mner.errors import suggest
from instruct_mner.schema.choices import Decode

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
class HubColumns:
    """The columns of a data set.

    Attributes:
        names: Names by role: ``id``, ``text``, ``tokens``, ``tags``, ``entities``, ``images``.
        tag_names: Names of the numbers in ``tags``; ``None`` where tags are texts.
        label_names: Names of the numbers that are labels of ``entities``; ``None`` where labels are texts.
        holds_pictures: True where ``images`` are pictures, false where they are names of files.
        meta: Further columns, which are carried along.
        carried: Those of them that the user says.
        pictures: Columns of pictures.
        named_twice: True where the user names numbers that the set names itself.
    """

    names: Mapping[str, str]
    tag_names: Sequence[str] | None
    label_names: Sequence[str] | None
    holds_pictures: bool
    meta: tuple[str, ...] = ()
    carried: frozenset[str] = frozenset()
    pictures: frozenset[str] = frozenset()
    named_twice: bool = False

    @classmethod
    def of(
        cls,
        features: Mapping[str, Any],
        chosen: Mapping[str, Sequence[str]] | None = None,
        label_names: Sequence[str] = (),
    ) -> Self:
        """Find the columns by name, or as the user says, and what they hold by their features.

        Args:
            features: Features of the data set, by column.
            chosen: Columns by role, as the user says.
            label_names: Names of the numbers in tags and labels, as the user says.
        """
        import datasets

        names = {
            role: next(name for name in known if name in features)
            for role, known in _NAMES.items()
            if not features.keys().isdisjoint(known)
        }
        carried = set((chosen or {}).get("meta", ()))
        names = {role: name for role, name in names.items() if name not in carried}
        names |= {role: columns[0] for role, columns in (chosen or {}).items() if role in _NAMES}
        tag = _item(features.get(names.get("tags", "")))
        entity = _item(features.get(names.get("entities", "")))
        label = _item(entity.get("label", entity.get("type"))) if isinstance(entity, Mapping) else None
        own = [each.names if isinstance(each, datasets.ClassLabel) else None for each in (tag, label)]
        return cls(
            names,
            tag_names=own[0] or label_names or None,
            label_names=own[1] or label_names or None,
            named_twice=bool(label_names) and any(own),
            holds_pictures="images" in names and isinstance(_item(features.get(names["images"])), datasets.Image),
            meta=tuple(name for name in features if name not in names.values() and name not in INDEX_COLUMNS),
            carried=frozenset(carried),
            pictures=frozenset(name for name, each in features.items() if isinstance(_item(each), datasets.Image)),
        )

    def problems(
        self, columns: Sequence[str], source: str, values: Mapping[str, Sequence[Any]] | None = None
    ) -> list[str]:
        """Return the reasons for which the data set cannot be read at all.

        Args:
            columns: Names of all columns.
            source: Name of the data set, for messages.
            values: Values of further columns from their beginning.
        """
        lost = [name for name in (*self.names.values(), *self.carried) if name not in columns]
        if lost:
            return [f"{source}: there is no column {lost[0]!r}{suggest(lost[0], columns)}; found: {', '.join(columns)}"]
        if self.named_twice:
            return [f"{source}: it names its labels itself (ClassLabel); leave --label-names out"]
        if not self.names.keys() & {"text", "tokens"}:
            return [
                f"{source}: no column is named text, sentence, tokens or words; found: {', '.join(columns)}; say which "
                f"holds the text: instruct-mner import {quote(source)} --column text=NAME"
            ]
        if "tags" in self.names and "tokens" not in self.names:
            return [
                f"{source}: column {self.names['tags']!r} holds tags, but there are no tokens or words beside it; say "
                f"which holds them: instruct-mner import {quote(source)} --column tokens=NAME, or --column meta=…"
            ]
        others = (name for name in self.meta if name not in self.carried)
        asked = (self._question(name, source, (values or {}).get(name, ())) for name in others)
        return [reason for reason in asked if reason is not None]

    def _question(self, name: str, source: str, values: Sequence[Any]) -> str | None:
        if name in self.pictures:
            return question(source, f"column {name!r} holds pictures", "images", name)
        return asks_about(name, source, [value for value in values if value is not None])

    def to_raw(self, row: Row, where: str, decode: Decode) -> RawPost:
        """Return a row as a raw post; the text between tokens is that of the set, ``RawPost.joined``.

        Raises:
            ValueError: Anything wrong in it.
        """
        tokens, text, tags = self._tokens(row), self._get(row, "text"), self.tags_of(row)
        if text is None and tokens is None:
            raise ValueError("the row has no text")
        if text is not None and not isinstance(text, str):
            raise ValueError(f"column {self.names['text']!r} holds no string but {str(text)[:40]!r}")
        if tags is not None and self._get(row, "entities") is not None:
            raise ValueError(
                f"the row has both tags ({self.names['tags']!r}) and entities ({self.names['entities']!r}), of which "
                "one would be lost; carry the other along with 'instruct-mner import … --column meta=NAME'"
            )
        if tags is not None and len(tags) != len(tokens or ()):
            raise ValueError(f"the row has {len(tokens or ())} tokens and {len(tags)} tags")
        marks: tuple[Mark, ...] | None = None
        if tags is not None:
            spans = decode_spans(tags, decode)
            marks = tuple(Mark(start=first, end=last, surface=None, label=label) for first, last, label in spans)
        elif (marked := self._get(row, "entities")) is not None:
            marks = tuple(self._mark(each) for each in _each(marked))
        return RawPost(
            where=where,
            id=as_id(self._get(row, "id")),
            text=text,
            tokens=tokens,
            marks=marks,
            images=to_names(self._get(row, "images")),
            unit="tokens" if tags is not None else None,
            meta={name: row[name] for name in self.meta if row[name] is not None},
        )

    def tags_of(self, row: Row) -> list[str] | None:
        """Return the tags of a row; ``None`` where it is not annotated.

        Raises:
            ValueError: A tag is none.
        """
        values = self._get(row, "tags")
        if values is not None and not isinstance(values, list):
            raise ValueError(f"column {self.names['tags']!r} holds no list of tags but {str(values)[:40]!r}")
        tags = None if values is None else [_named(tag, self.tag_names) for tag in values]
        wrong = [tag for tag in tags or () if not is_tag(tag)]
        if wrong:
            raise ValueError(why_no_tag(wrong[0]))
        if tags and are_chunks(tags):
            raise ValueError(
                f"column {self.names['tags']!r} holds tags of phrases (NP, VP), which are no entities; choose another "
                "with 'instruct-mner import … --column tags=NAME'"
            )
        return tags

    def _tokens(self, row: Row) -> tuple[str, ...] | None:
        tokens = self._get(row, "tokens")
        if tokens is None:
            return None
        if not isinstance(tokens, list):
            kind = "a string" if isinstance(tokens, str) else str(tokens)[:40]
            raise ValueError(f"column {self.names['tokens']!r} holds {kind}, which is no list of tokens")
        wrong = [token for token in tokens if not isinstance(token, str)]
        if wrong:
            raise ValueError(
                f"column {self.names['tokens']!r} holds the token {str(wrong[0])[:40]}, which is no string"
            )
        check_tokens(tokens)
        return tuple(tokens)

    def _get(self, row: Row, role: str) -> Any:
        return row[self.names[role]] if role in self.names else None

    def _mark(self, marked: Any) -> Mark:
        if isinstance(marked, Mapping):
            name = "label" if marked.get("label") is not None else "type"
            if type(marked.get(name)) is int:
                marked = {**marked, name: _named(marked[name], self.label_names)}
        return to_mark(marked)


def _item(feature: Any) -> Any:
    """Return the item of a list, and of a list of lists; anything else as it is."""
    while hasattr(feature, "feature"):
        feature = feature.feature
    return feature


def _each(marked: Any) -> list[Any]:
    """Return entities one by one: a ``Sequence`` of a struct comes as a struct of lists."""
    if isinstance(marked, list):
        return marked
    if not isinstance(marked, Mapping):
        raise ValueError(f"the entities are no list but {str(marked)[:40]!r}")
    if not all(isinstance(values, list) for values in marked.values()):
        return [marked]
    if len({len(values) for values in marked.values()}) > 1:
        lengths = ", ".join(f"{name} {len(values)}" for name, values in marked.items())
        raise ValueError(f"the lists of the entities' fields differ in length: {lengths}")
    return [dict(zip(marked, values, strict=True)) for values in zip(*marked.values(), strict=True)]


def _named(value: Any, names: Sequence[str] | None) -> str:
    if isinstance(value, str):
        return value
    if type(value) is not int:
        raise ValueError(f"label {value!r} is neither a name nor the number of one")
    if names is None:
        raise ValueError(
            f"label {value!r} is a number without a name; the column must be of the type ClassLabel, or name them in "
            "their order: instruct-mner import … --label-names O,B-PER,…"
        )
    if not 0 <= value < len(names):
        raise ValueError(f"label {value!r} is none of the {len(names)} that are named")
    return str(names[value])
