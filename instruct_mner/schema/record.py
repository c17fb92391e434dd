"""The base of all records."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Base of the records: immutable, no unknown fields.

    A number is never taken for a text; a text of digits is read as a number, as pydantic does by default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
