"""Errors of validation in the words of who wrote the file."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import Field, ValidationError, field_validator

from instruct_mner.schema.record import Record
from instruct_mner.schema.validation_messages import explained, fields_at, place, reasons


class Part(Record):
    """A part of a row."""

    kind: Literal["person", "place"] = "person"
    at: tuple[int, ...] = Field(default=(0,), min_length=1)
    size: int | float = 1
    share: float = 0.5

    @field_validator("share")
    @classmethod
    def _check(cls, share: float) -> float:
        if share > 1:
            raise ValueError("a share is at most 1")
        return share


class Row(Record):
    """A row of a file."""

    name: str
    parts: tuple[Part, ...] | None = None


def reasons_of(text: str) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        Row.model_validate_json(text)
    return reasons(caught.value, Row)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{}", "name: is needed"),
        ("[]", "expected a JSON object, {…}"),
        ('{"name": 7}', "name: expected a text, a string; put it into quotes"),
        ('{"name": null}', "name: expected a text, a string"),
        ('{"name": ["a"]}', "name: expected a text, a string"),
        ('{"name": "a", "prats": []}', "prats: unknown field; did you mean 'parts'?"),
        ('{"name": "a", "zzz": []}', "zzz: unknown field"),
        ('{"name": "a", "parts": [{}, {"kidn": "person"}]}', "parts.1.kidn: unknown field; did you mean 'kind'?"),
        ('{"name": "a", "parts": [3]}', "parts.0: expected a JSON object, {…}"),
        ('{"name": "a", "parts": {}}', "parts: expected a list"),
        ('{"name": "a", "parts": [{"kind": "persn"}]}',
         "parts.0.kind: expected 'person' or 'place'; did you mean 'person'?"),
        ('{"name": "a", "parts": [{"at": []}]}', "parts.0.at: must not be empty: at least 1 is needed"),
        ('{"name": "a", "parts": [{"at": [1.5]}]}', "parts.0.at.0: expected a whole number, an integer"),
        ('{"name": "a", "parts": [{"size": "big"}]}', "parts.0.size: expected a number"),
        ('{"name": "a", "parts": [{"share": []}]}', "parts.0.share: expected a number"),
        ('{"name": "a", "parts": [{"share": 2}]}', "parts.0.share: a share is at most 1"),
    ],
)  # fmt: skip
def test_one_problem_is_one_line_with_its_place(text: str, reason: str) -> None:
    assert reasons_of(text) == [reason]


def test_all_problems_are_said_and_none_twice() -> None:
    assert reasons_of('{"parts": [{"at": ["one", "x"]}, {"size": "big"}], "nam": 1}') == [
        "name: is needed",
        "parts.0.at.0: expected a whole number, an integer",
        "parts.0.at.1: expected a whole number, an integer",
        # Both kinds of number complain of the same text.
        "parts.1.size: expected a number",
        "nam: unknown field; did you mean 'name'?",
    ]


def test_what_is_no_json_names_its_column() -> None:
    [reason] = reasons_of('{"name": "a"')
    assert reason.startswith("not JSON: EOF while parsing an object at column 12; a line is one whole object")


@pytest.mark.parametrize(
    ("location", "result"),
    [
        (("parts", 0, "function-after[_check(), float]"), ["parts", 0]),
        (("parts", 0, "size", "int"), ["parts", 0, "size"]),
        (("parts", 0, "size", "float"), ["parts", 0, "size"]),
        ((), []),
    ],
)
def test_places_are_without_the_names_of_validators(location: tuple[str | int, ...], result: list[str | int]) -> None:
    details = {"type": "float_type", "loc": location, "msg": "", "input": None}
    assert list(place(details)) == result  # type: ignore[arg-type]


def test_other_messages_are_those_of_pydantic() -> None:
    details = {"type": "greater_than", "loc": ("a",), "msg": "Input should be greater than 0", "input": 0}
    assert explained(details) == "Input should be greater than 0"  # type: ignore[arg-type]


def test_fields_inside_of_a_model() -> None:
    assert fields_at(Row, ()) == ["name", "parts"]
    assert fields_at(Row, ("parts", 3)) == ["kind", "at", "size", "share"]
    assert fields_at(Row, ("name",)) == []
    assert fields_at(Row, ("nowhere",)) == []
