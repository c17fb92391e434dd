"""The base of the sections of configs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from pydantic import ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticKnownError

from instruct_mner.schema.record import Record


class Settings(Record):
    """Base of the config's sections: frozen, unknown keys are errors, numbers finite and no flags, texts not empty."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_flag_is_a_number(cls, value: object, info: ValidationInfo) -> object:
        """Refuse ``yes`` for a number, which pydantic takes as 1."""
        if isinstance(value, bool) and info.field_name is not None:
            kinds = _kinds(cls.model_fields[info.field_name].annotation)
            if bool not in kinds and kinds & {int, float}:
                raise PydanticKnownError("int_type" if int in kinds else "float_type")
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _no_text_is_empty(cls, value: object) -> object:
        """Refuse empty texts: as a path, one is the folder in which the command runs."""
        if value == "" or (isinstance(value, Sequence) and not isinstance(value, str) and "" in value):
            raise ValueError("an empty text; give a value, or leave the setting out")
        return value


def _kinds(annotation: object) -> set[object]:
    """Return the types that an annotation joins."""
    return {annotation}.union(*map(_kinds, get_args(annotation)))
