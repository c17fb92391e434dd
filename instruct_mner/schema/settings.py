"""The base of the sections of configs."""

from __future__ import annotations

from typing import get_args

from pydantic import ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticKnownError

from instruct_mner.schema.record import Record


class Settings(Record):
    """Base of the config's sections: frozen, unknown keys are errors, numbers are finite and no flags."""

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


def _kinds(annotation: object) -> set[object]:
    """Return the types that an annotation joins."""
    return {annotation}.union(*map(_kinds, get_args(annotation)))
