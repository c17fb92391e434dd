"""Limits on the size of pictures."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from instruct_mner.schema.settings import Settings


class PixelLimits(Settings):
    """Limits on the pixels of a picture after the processor's resize; ``None`` = the model's own default.

    Attributes:
        min_pixels: Least number of pixels.
        max_pixels: Largest number of pixels.
    """

    min_pixels: int | None = Field(default=None, ge=1)
    max_pixels: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.min_pixels is not None and self.max_pixels is not None and self.min_pixels > self.max_pixels:
            raise ValueError(f"min_pixels is {self.min_pixels}, more than max_pixels, {self.max_pixels}")
        return self

    @property
    def given(self) -> bool:
        """True where there is any limit."""
        return self.min_pixels is not None or self.max_pixels is not None
