"""Label sets, and the base of all records."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Self

from pydantic import Field, model_serializer, model_validator

from instruct_mner.errors import ConfigError
from instruct_mner.schema.record import Record

# Persian and the scripts of India write these two within words.
_JOINERS = "\u200c\u200d"
_SEPARATORS = re.compile(r"[\W_]+")


@lru_cache(maxsize=1024)
def why_no_label(name: str) -> str | None:
    """Return why an answer could not hold a name of a type; ``None`` where it could."""
    if not name or name != name.strip():
        return f"label {name!r} is empty or has a space at its edge"
    if ": " in name:
        return f"label {name!r} holds ': ', which separates label and mention in an answer"
    if any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in name):
        return f"label {name!r} holds a newline or a control character"
    if (
        any(unicodedata.category(each) == "Cf" and each not in _JOINERS for each in name)
        or name.strip(_JOINERS) != name
    ):
        return f"label {name!r} holds a character that is not visible, which makes it another type; take it out"
    return None


def folded_label(name: str) -> str:
    """Return what names of types have in common that differ in case, spaces, signs or forms of characters alone."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    # Signs alone, such as emoji, tell types apart that hold nothing else.
    return _SEPARATORS.sub("", folded) or folded


class Label(Record):
    """An entity type, with its definition where there is one."""

    name: str
    definition: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if reason := why_no_label(self.name):
            raise ValueError(reason)
        return self


def _as_list(names: str | bytes) -> str:
    text = names.decode(errors="replace") if isinstance(names, bytes) else names
    return repr([name.strip() for name in text.split(",") if name.strip()])


class LabelSet(Record):
    """Entity types in the order in which they are shown to the model.

    Made from a list of names or from a mapping of names to definitions.
    """

    labels: tuple[Label, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _accept(cls, value: object) -> object:
        if isinstance(value, Mapping) and "labels" not in value:
            return {"labels": [{"name": name, "definition": text} for name, text in value.items()]}
        if isinstance(value, list | tuple):
            return {"labels": [item if isinstance(item, Mapping | Label) else {"name": item} for item in value]}
        if isinstance(value, Mapping | LabelSet):
            return value
        raise ValueError("labels are a list of names, or a mapping NAME: definition")

    @model_validator(mode="after")
    def _check(self) -> Self:
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise ValueError(f"label(s) given twice: {', '.join(twice)}")
        return self

    @model_serializer
    def _dump(self) -> dict[str, str | None] | list[str]:
        if self.defined:
            return {label.name: label.definition for label in self.labels}
        return list(self.names)

    @classmethod
    def of(cls, names: Iterable[str] | Mapping[str, str | None]) -> LabelSet:
        """Return a label set from names, or from a mapping of names to definitions.

        Raises:
            ConfigError: The names are one string, whose letters would be the labels.
        """
        if isinstance(names, str | bytes):
            raise ConfigError(f"labels are a list of names, not the string {names!r}: write {_as_list(names)}")
        return cls.model_validate(dict(names) if isinstance(names, Mapping) else list(names))

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(label.name for label in self.labels)

    @property
    def defined(self) -> bool:
        """True where any label has a definition."""
        return any(label.definition for label in self.labels)

    def defined_as_in(self, other: LabelSet) -> LabelSet:
        """Return these labels, those without a definition with the one that they have in another set."""
        known = {label.name: label.definition for label in other.labels}
        labels = (Label(name=each.name, definition=each.definition or known.get(each.name)) for each in self.labels)
        return LabelSet(labels=tuple(labels))

    def respelled(self, other: LabelSet) -> dict[str, str]:
        """Return the labels that another set does not have but in another spelling, each with the one there."""
        known = {folded_label(name): name for name in other.names}
        foreign = (name for name in self.names if name not in other)
        return {name: known[folded_label(name)] for name in foreign if folded_label(name) in known}

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __len__(self) -> int:
        return len(self.labels)

    def each(self) -> Iterator[Label]:
        """Return the labels, in order."""
        return iter(self.labels)
