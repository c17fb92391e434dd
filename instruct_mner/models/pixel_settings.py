"""Limits on the size of pictures, under the names of each family's image processor."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from instruct_mner.errors import ModelError
from instruct_mner.schema.pixel_limits import PixelLimits

if TYPE_CHECKING:
    from transformers import BaseImageProcessor, ProcessorMixin

PixelSettings = dict[str, int | dict[str, int]]
"""Attributes of an image processor."""

_MOST_ASPECT = 200
_SOFT_TOKENS = (70, 140, 280, 560, 1120)


def _no_least(limits: PixelLimits) -> None:
    if limits.min_pixels is not None:
        raise ModelError("this family has no least number of pixels: leave pixels.min_pixels out")


def longest_edge(images: BaseImageProcessor, limits: PixelLimits) -> PixelSettings:
    """Return the longest edge of Idefics3 and SmolVLM2: its square is the largest number of pixels."""
    _no_least(limits)
    return {} if limits.max_pixels is None else {"size": {"longest_edge": math.isqrt(limits.max_pixels)}}


def number_of_pixels(images: BaseImageProcessor, limits: PixelLimits) -> PixelSettings:
    """Return the limits of Qwen's processors, whose ``size`` has numbers of pixels under the names of edges."""
    least = images.size["shortest_edge"] if limits.min_pixels is None else limits.min_pixels
    most = images.size["longest_edge"] if limits.max_pixels is None else limits.max_pixels
    if least > most:
        raise ModelError(f"pixels.min_pixels is {least}, more than pixels.max_pixels, {most}")
    return {"size": {"shortest_edge": least, "longest_edge": most}} if limits.given else {}


def number_of_pixels_of_frames(images: BaseImageProcessor, limits: PixelLimits) -> PixelSettings:
    """Return the limits of GLM-4.6V's processor, which counts the pixels of a picture once for each frame of a patch.

    Source: ``smart_resize`` of transformers' ``image_processing_glm46v``, 5.19.
    """
    frames = images.temporal_patch_size
    counted = PixelLimits(
        min_pixels=limits.min_pixels and frames * limits.min_pixels,
        max_pixels=limits.max_pixels and frames * limits.max_pixels,
    )
    return number_of_pixels(images, counted)


def number_of_tiles(images: BaseImageProcessor, limits: PixelLimits) -> PixelSettings:
    """Return the largest number of tiles into which InternVL 3 cuts a picture."""
    _no_least(limits)
    if limits.max_pixels is None:
        return {}
    return {"max_patches": max(1, limits.max_pixels // (images.size["height"] * images.size["width"]))}


def number_of_soft_tokens(images: BaseImageProcessor, limits: PixelLimits) -> PixelSettings:
    """Return the largest number of image tokens of Gemma 4, which resizes every picture to as many as it may have.

    Source: ``_SUPPORTED_SOFT_TOKENS`` of transformers' ``image_processing_gemma4``, 5.19.
    """
    _no_least(limits)
    if limits.max_pixels is None:
        return {}
    token = (images.patch_size * images.pooling_kernel_size) ** 2
    admitted = [number for number in _SOFT_TOKENS if number * token <= limits.max_pixels]
    if not admitted:
        raise ModelError(
            f"pixels.max_pixels is {limits.max_pixels}; this family takes no less than {_SOFT_TOKENS[0] * token}"
        )
    return {"max_soft_tokens": admitted[-1]}


def fixed(images: BaseImageProcessor, limits: PixelLimits) -> PixelSettings:
    """Return nothing: Gemma 3 and LLaVA-OneVision have fixed sizes."""
    if limits.given:
        raise ModelError("this family has picture sizes of its own: leave pixels.min_pixels and pixels.max_pixels out")
    return {}


def no_pictures(images: BaseImageProcessor, limits: PixelLimits) -> PixelSettings:
    """Return nothing: text models are given no pictures."""
    if limits.given:
        raise ModelError("this family reads text only: leave pixels.min_pixels and pixels.max_pixels out")
    return {}


def qwen_resized(processor: ProcessorMixin, size: tuple[int, int]) -> tuple[int, int]:
    """Return width and height of a picture after Qwen's resize.

    Source: ``Qwen2VLImageProcessor.resize``.
    """
    images = processor.image_processor
    height, width = smart_resize(
        size[1],
        size[0],
        factor=images.patch_size * images.merge_size,
        min_pixels=images.size["shortest_edge"],
        max_pixels=images.size["longest_edge"],
    )
    return width, height


def smart_resize(height: int, width: int, *, factor: int, min_pixels: int, max_pixels: int) -> tuple[int, int]:
    """Return the height and width to which Qwen resizes a picture: multiples of ``factor``, within the limits.

    Written anew because the original brings torch and torchvision with it, which tagging by a server has no use for.

    Args:
        height: Height of the picture, in pixels.
        width: Width of the picture, in pixels.
        factor: Width of an image token, in pixels.
        min_pixels: Least number of pixels.
        max_pixels: Largest number of pixels.

    Raises:
        ModelError: One side is more than 200 times the other.

    Source: ``smart_resize`` of transformers' ``image_processing_qwen2_vl``, 5.16 to 5.19.
    """
    if max(height, width) / min(height, width) > _MOST_ASPECT:
        raise ModelError(f"a picture of {width} x {height} pixels is too narrow for this family; crop it")
    new_height, new_width = round(height / factor) * factor, round(width / factor) * factor
    if new_height * new_width > max_pixels:
        beta = math.sqrt(height * width / max_pixels)
        new_height = max(factor, math.floor(height / beta / factor) * factor)
        new_width = max(factor, math.floor(width / beta / factor) * factor)
    elif new_height * new_width < min_pixels:
        beta = math.sqrt(min_pixels / (height * width))
        new_height = math.ceil(height * beta / factor) * factor
        new_width = math.ceil(width * beta / factor) * factor
    return new_height, new_width
