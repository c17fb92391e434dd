"""Messages of validation errors, in words for the author of the file or the setting."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from instruct_mner.errors import suggest
from instruct_mner.schema.record import HALF_CHARACTER

Location = Sequence[int | str]


def reasons(error: ValidationError, record: type[BaseModel]) -> list[str]:
    """Return what is wrong in a row or object, one line each: ``entities.0.end: reason``.

    Args:
        error: Error of the validation.
        record: Record that was validated.
    """
    return list(dict.fromkeys(_reason(details, record) for details in causes(error)))


def causes(error: ValidationError) -> list[ErrorDetails]:
    """Return the errors of a validation, without those of lists that are too short only because an item is wrong."""
    details = error.errors(include_url=False)
    wrong_inside = {each["loc"][:depth] for each in details for depth in range(len(each["loc"]))}
    return [each for each in details if each["type"] != "too_short" or each["loc"] not in wrong_inside]


def _reason(details: ErrorDetails, record: type[BaseModel]) -> str:
    location = place(details)
    message = explained(details)
    if details["type"] == "extra_forbidden":
        message = f"unknown field{suggest(str(location[-1]), fields_at(record, location[:-1]))}"
    field = setting_name(location)
    return f"{field}: {message}" if field else message


def place(details: ErrorDetails) -> Location:
    """Return names and indices that lead to the value, without validators and kinds of number."""
    named = [part for part in details["loc"] if not str(part).startswith("function-")]
    return named[:-1] if named and named[-1] in {"int", "float"} else named


def setting_name(location: Location) -> str:
    """Return the name of a place, with dots; a list of labels is checked in a field that has the name of its own."""
    parts = [str(part) for number, part in enumerate(location) if number == 0 or part != location[number - 1]]
    return ".".join(parts)


def explained(details: ErrorDetails) -> str:
    """Return what is wrong with the value itself."""
    kind, message, context = details["type"], details["msg"], details.get("ctx", {})
    if kind == "json_invalid":
        return _no_json(str(context.get("error", "")).replace("line 1 column", "column"))
    if kind in {"int_type", "int_parsing", "int_from_float", "float_type", "float_parsing"}:
        # Where both kinds of number are allowed, pydantic complains of each.
        both = details["loc"] and details["loc"][-1] in {"int", "float"}
        return "expected a number" if both or kind.startswith("float") else "expected a whole number, an integer"
    if kind in {"string_type", "path_type"}:
        unquoted = isinstance(details.get("input"), bool | int | float | date)
        return "expected a text, a string" + ("; put it into quotes" if unquoted else "")
    if kind == "literal_error":
        expected = str(context.get("expected", ""))
        known = re.findall("'([^']+)'", expected)
        return f"expected {expected}{suggest(str(details.get('input')), known)}"
    if kind in {"string_too_short", "too_short"} and context.get("min_length") == 1:
        return "must not be empty: at least 1 is needed"
    return {
        "missing": "is needed",
        "string_unicode": HALF_CHARACTER,
        "model_type": "expected a JSON object, {…}",
        "model_attributes_type": "expected a JSON object, {…}",
        "tuple_type": "expected a list",
        "list_type": "expected a list",
    }.get(kind, message.removeprefix("Value error, "))


def _no_json(reason: str) -> str:
    if is_half_of_a_character(reason):
        return f"a text {HALF_CHARACTER} ({reason})"
    return f"not JSON: {reason}; a line is one whole object (is the file cut, or spread over lines?)"


def is_half_of_a_character(reason: str) -> bool:
    """Return whether JSON was refused for half of a character, which its escapes can write and UTF-8 cannot.

    Args:
        reason: Reason of the parser. Source: serde_json and jiter name a lone surrogate in these words.
    """
    return "surrogate" in reason or "hex escape" in reason


def fields_at(model: type[BaseModel], location: Location) -> list[str]:
    """Return names that are known at a place inside of a model; none where no model is there."""
    inner = model_at(model, location)
    return [] if inner is None else list(inner.model_fields)


def model_at(model: type[BaseModel], location: Location) -> type[BaseModel] | None:
    """Return the model at a place inside of a model; ``None`` where no model is there."""
    for part in location:
        if isinstance(part, str):
            field = model.model_fields.get(part)
            inner = None if field is None else _model_in(field.annotation)
            if inner is None:
                return None
            model = inner
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model in an annotation such as ``tuple[Entity, ...] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part)) is not None), None)
