"""Processor of blank pictures, whose pixels are processed once.

A generated picture takes the place of a blank one, of which only the tokens are of use; an image processor that cuts
pictures into tiles would make many of it, for every post anew.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor
from transformers import BatchFeature

if TYPE_CHECKING:
    from collections.abc import Iterable

    from transformers import ProcessorMixin


def blank_processor(processor: ProcessorMixin) -> ProcessorMixin:
    """Return a processor for posts that all show the same blank picture, one each; its pixels are not to be used.

    Args:
        processor: Processor of a model.
    """
    for_blanks = copy(processor)
    for_blanks.image_processor = _BlankImages(processor.image_processor)
    return for_blanks


class _BlankImages:
    """Image processor that repeats its output for the first picture that it is given."""

    def __init__(self, whole: Any) -> None:
        self._whole = whole
        self._outputs: dict[str, dict[str, Any]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)

    def __call__(self, images: Any, **settings: Any) -> BatchFeature:
        """Return the output for so many blank pictures."""
        key = repr(sorted(settings.items()))
        if key not in self._outputs:
            self._outputs[key] = dict(self._whole(images=images[:1], **settings))
        return BatchFeature({name: _repeated(value, len(images)) for name, value in self._outputs[key].items()})


def _repeated(value: Any, times: int) -> Any:
    """Return what is one after another along the first dimension; of a single row no copies are made."""
    if isinstance(value, Tensor):
        further = [1] * (value.ndim - 1)
        return value.expand(times, *value.shape[1:]) if len(value) == 1 else value.repeat(times, *further)
    if isinstance(value, np.ndarray):
        return np.concatenate([value] * times)
    return _copies(value, times) if isinstance(value, list) else value


def _copies(values: Iterable[Any], times: int) -> list[Any]:
    return [each for _ in range(times) for each in values]
