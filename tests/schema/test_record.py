"""What every record promises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from instruct_mner.schema.record import Record


class Pair(Record):
    """A record of two fields."""

    name: str
    numbers: tuple[int, ...] = ()


def test_records_of_equal_values_are_equal_and_can_be_keys() -> None:
    one, other = Pair(name="a", numbers=(1, 2)), Pair.model_validate({"name": "a", "numbers": [1, 2]})
    assert one == other
    assert {one: "first"}[other] == "first"
    assert one != Pair(name="a", numbers=(1, 3))


def test_records_cannot_be_changed() -> None:
    pair = Pair(name="a")
    with pytest.raises(ValidationError, match="frozen"):
        pair.name = "b"  # type: ignore[misc]
    assert (pair.name, pair.model_copy(update={"name": "b"}).name) == ("a", "b")


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"name": "a", "nmae": "b"}, ("nmae",)),
        ({"name": 1}, ("name",)),
        ({"name": True}, ("name",)),
        ({}, ("name",)),
        ({"name": "a", "numbers": ["1.5"]}, ("numbers", 0)),
        ({"name": "a", "numbers": [1.5]}, ("numbers", 0)),
        ({"name": "a", "numbers": [None]}, ("numbers", 0)),
    ],
)
def test_unknown_fields_and_values_of_another_kind_are_refused(
    values: dict[str, object], place: tuple[str, ...]
) -> None:
    with pytest.raises(ValidationError) as caught:
        Pair.model_validate(values)
    assert [error["loc"] for error in caught.value.errors()] == [place]


@given(st.text(), st.lists(st.integers()))
def test_records_come_back_from_json_and_digits_are_numbers(name: str, numbers: list[int]) -> None:
    pair = Pair(name=name, numbers=tuple(numbers))
    assert Pair.model_validate_json(pair.model_dump_json()) == pair
    assert Pair.model_validate({"name": name, "numbers": list(map(str, numbers))}) == pair
