"""Limits on the size of pictures: what each family's image processor calls them."""

from __future__ import annotations

from math import isqrt
from typing import Any

from instruct_mner.errors import ModelError
from instruct_mner.schema.pixel_limits import PixelLimits


def _no_least(limits: PixelLimits) -> None:
    if limits.min_pixels is not None:
        raise ModelError("this family has no least number of pixels: leave pixels.min_pixels out")


def longest_edge(images: Any, limits: PixelLimits) -> dict[str, Any]:
    """Idefics3 and SmolVLM2 know only a longest edge: the square of it is their most pixels."""
    _no_least(limits)
    return {} if limits.max_pixels is None else {"size": {"longest_edge": isqrt(limits.max_pixels)}}


def number_of_pixels(images: Any, limits: PixelLimits) -> dict[str, Any]:
    """Qwen's ``size`` keeps numbers of pixels under the names of edges."""
    least = images.size["shortest_edge"] if limits.min_pixels is None else limits.min_pixels
    most = images.size["longest_edge"] if limits.max_pixels is None else limits.max_pixels
    if least > most:
        raise ModelError(f"pixels.min_pixels is {least}, more than pixels.max_pixels, {most}")
    return {"size": {"shortest_edge": least, "longest_edge": most}} if limits.given else {}


def number_of_tiles(images: Any, limits: PixelLimits) -> dict[str, Any]:
    """InternVL 3 cuts a picture into at most so many tiles."""
    _no_least(limits)
    if limits.max_pixels is None:
        return {}
    return {"max_patches": max(1, limits.max_pixels // (images.size["height"] * images.size["width"]))}


def fixed(images: Any, limits: PixelLimits) -> dict[str, Any]:
    """Gemma 3 and LLaVA-OneVision are built for the sizes that they have."""
    if limits.given:
        raise ModelError("this family has picture sizes of its own: leave pixels.min_pixels and pixels.max_pixels out")
    return {}


def qwen_resized(processor: Any, size: tuple[int, int]) -> tuple[int, int]:
    """Width and height of a picture after Qwen's resize.

    Source: ``Qwen2VLImageProcessor.resize``.
    """
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

    images = processor.image_processor
    height, width = smart_resize(
        size[1],
        size[0],
        factor=images.patch_size * images.merge_size,
        min_pixels=images.size["shortest_edge"],
        max_pixels=images.size["longest_edge"],
    )
    return int(width), int(height)
