"""Sections of configs: what pydantic would take for a number, and is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from instruct_mner.schema.settings import Settings
from instruct_mner.training.config import FinetuneConfig

WHOLE = {"model": "m", "data": {"train": "t"}, "output": "o"}


def numbers(kind: type[BaseModel], *above: str) -> Iterator[tuple[str, ...]]:
    """Dotted names of all numbers of a config."""
    for name, field in kind.model_fields.items():
        parts = [field.annotation, *getattr(field.annotation, "__args__", ())]
        inner = [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]
        if inner:
            yield from numbers(inner[0], *above, name)
        elif {int, float} & set(parts) and bool not in parts:
            yield (*above, name)


@pytest.mark.parametrize("name", numbers(FinetuneConfig), ids=".".join)
def test_yes_is_no_number(name: tuple[str, ...]) -> None:
    values: Any = True
    for part in reversed(name):
        values = {part: values}
    with pytest.raises(ValidationError) as error:
        FinetuneConfig.model_validate({**WHOLE, **values})
    assert {each["type"] for each in error.value.errors()} <= {"int_type", "float_type"}


def test_flags_are_flags_and_numbers_may_be_written_as_texts() -> None:
    class Some(Settings):
        flag: bool
        number: float | None

    assert Some.model_validate({"flag": True, "number": "1e-3"}) == Some(flag=True, number=0.001)
