"""Checks of single values: each returns a value in its own form, or refuses it with what it has to be."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from PIL.Image import Image
from pydantic import ValidationError

from instruct_mner.errors import ConfigError
from instruct_mner.prompting.retrieval import Pool
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.record import is_whole
from instruct_mner.schema.records import Example
from instruct_mner.schema.validation_messages import reasons
from instruct_mner.tagging.argument_values import is_one, items, no_list, shown
from instruct_mner.tagging.settings import check_threshold

Check = Callable[[object], object]
"""Check of a value: it returns the value in its own form, or raises :class:`RefusedError`."""


class RefusedError(Exception):
    """A value is none of those that an argument takes; the message says what it has to be."""


class NoListError(RefusedError):
    """A value is no list, or other source of items."""


def check_value(name: str, value: object, check: Check) -> object:
    """Return a value in the form that its check gives it.

    Args:
        name: Name of the argument, for the message.
        value: Value.
        check: Check of the value.

    Raises:
        ConfigError: The value is refused.
    """
    try:
        return check(value)
    except RefusedError as error:
        why = no_list(value) if isinstance(error, NoListError) else ""
        raise ConfigError(f"{name} must be {error}, not {shown(value)}{why}") from None


def text(value: object) -> str:
    """Return a string of whole characters."""
    if not isinstance(value, str) or not is_whole(value):
        raise RefusedError("a string of whole characters")
    return value


def name(value: object) -> str:
    """Return a string that is not empty."""
    if not isinstance(value, str) or not value.strip() or "\0" in value or not is_whole(value):
        raise RefusedError("a string that is not empty")
    return value


def place(value: object) -> object:
    """Return a name or a path."""
    if isinstance(value, Path):
        return value if place(str(value)) else None
    try:
        Path(name(value)).exists()  # A path that is too long is no path.
    except (OSError, ValueError, RefusedError):
        raise RefusedError("a name or a path") from None
    return value


def model_place(value: object) -> object:
    """Return a name, or the path of a folder that is there: a path is never looked for on the hub."""
    if isinstance(value, Path) and place(value) and not value.exists():
        raise ConfigError(f"{value}: there is no such folder; give a name of the hub as a string, not as a Path")
    return place(value)


def flag(value: object) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise RefusedError("True or False")
    return value


def whole_number(least: int) -> Check:
    """Return a check of whole numbers from one on."""

    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, Integral) or not least <= int(value) < sys.maxsize:
            raise RefusedError(f"a whole number from {least} on")
        return int(value)

    return check


def seconds(value: object) -> float:
    """Return a time in seconds."""
    number = _number(value)
    if number is None or not 0 < number < sys.maxsize:
        raise RefusedError("a number of seconds above 0")
    return number


def confidence(value: object) -> float:
    """Return a number from 0 to 1."""
    number = _number(value)
    if number is None:
        raise RefusedError("a number from 0 to 1")
    # A whole number is told as it was written.
    check_threshold(value if isinstance(value, int) else number)
    return number


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def label_set(value: object) -> LabelSet:
    """Return the labels of a list, or of a mapping of names to definitions."""
    if isinstance(value, LabelSet):
        return value
    names: Any = value if isinstance(value, str | bytes | Mapping) else items(value)
    if names is None:
        raise NoListError("a list of names, or a mapping NAME: definition")
    try:
        return LabelSet.of(names)
    except ValidationError as error:
        raise ConfigError(f"labels: {'; '.join(reasons(error, LabelSet))}") from None


def picture(value: object) -> object:
    """Return a picture: a path, bytes, or an open one."""
    if not isinstance(value, str | Path | bytes | Image):
        raise RefusedError("the path of a picture, its bytes, or an open picture")
    return value


def list_of(check: Check, what: str) -> Check:
    """Return a check of each item of a list."""

    def of(value: object) -> object:
        listed = items(value)
        if listed is None:
            raise NoListError(f"a list of {what}")
        return [_item(number, each, check, what) for number, each in enumerate(listed)]

    return of


def each_of(check: Check, what: str) -> Check:
    """Return a check that looks at an item when it is taken, for streams."""

    def of(value: object) -> Iterator[object]:
        if is_one(value) or not hasattr(type(value), "__iter__"):
            raise NoListError(f"a list of {what}, or another source of them")
        try:
            source = iter(value)  # type: ignore[call-overload]
        except TypeError:
            raise NoListError(f"a list of {what}, or another source of them") from None
        return (_item(number, each, check, what) for number, each in enumerate(source))

    return of


def _item(number: int, value: object, check: Check, what: str) -> object:
    try:
        return check(value)
    except RefusedError as error:
        raise ConfigError(f"item {number} of the {what} must be {error}, not {shown(value)}") from None


def instance(kind: type, what: str) -> Check:
    """Return a check of the class of a value."""

    def check(value: object) -> object:
        if not isinstance(value, kind):
            raise RefusedError(what)
        return value

    return check


def opened_post(value: object) -> object:
    """Return a post with its open pictures."""
    right = (
        isinstance(value, tuple)
        and len(value) == 2
        and isinstance(value[0], Example)
        and isinstance(value[1], tuple | list)
        and all(isinstance(each, Image) for each in value[1])
    )
    if not right:
        raise RefusedError("a post (Example) with its open pictures, (post, (picture, …))")
    return value


def few_shot_examples(value: object) -> object:
    """Return annotated posts, or a pool of them."""
    return value if isinstance(value, Pool) else list_of(POST, "annotated posts (Example), or a Pool of them")(value)


def with_methods(what: str, *methods: str) -> Check:
    """Return a check of the methods of a value."""

    def check(value: object) -> object:
        if isinstance(value, type) or not all(callable(getattr(value, method, None)) for method in methods):
            raise RefusedError(what)
        return value

    return check


def endpoint(value: object) -> object:
    """Return an address, or the settings of a server."""
    # By its fields: the class brings the client of a server with it.
    if not isinstance(value, type) and hasattr(value, "url") and hasattr(value, "constraint"):
        return value
    if not isinstance(value, str):
        raise RefusedError("an address such as http://localhost:8000/v1, or an Endpoint")
    return value


def records_or_place(kind: type, what: str) -> Check:
    """Return a check of a list of records, or of the name of the file that holds them."""
    check = list_of(instance(kind, f"one of the {what}"), what)

    def of(value: object) -> object:
        if isinstance(value, str | Path):
            return place(value)
        # A generator gives its items once.
        listed = items(value)
        if listed is None:
            raise NoListError(f"a list of {what}, or the path of a file of them")
        return check(listed)

    return of


def function(value: object) -> object:
    """Return a function."""
    if not callable(value):
        raise RefusedError("a function from a post to the paths of its pictures")
    return value


def device_map(value: object) -> object:
    """Return the name of a distribution over devices, or a device for each part of a model."""
    if isinstance(value, Mapping):
        right = all(
            isinstance(part, str) and isinstance(place, str | int) and not isinstance(place, bool)
            for part, place in value.items()
        )
        if right and value:
            return dict(value)
    elif isinstance(value, str) and value.strip():
        return value
    raise RefusedError('"auto", or a device for each part of the model, such as {"": "cpu"}')


def one_of(*values: str) -> Check:
    """Return a check of a fixed set of strings."""

    def check(value: object) -> object:
        if not isinstance(value, str) or value not in values:
            raise RefusedError(f"one of {', '.join(values)}")
        return value

    return check


def or_none(check: Check) -> Check:
    """Return a check that lets ``None`` through."""
    return lambda value: None if value is None else check(value)


def as_it_is(value: object) -> object:
    """Return a value that the function checks itself, beside another argument."""
    return value


POST = instance(Example, "a post (Example)")
