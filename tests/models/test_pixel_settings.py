"""Limits on the size of pictures, and Qwen's resize, which must be that of transformers."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize as original

from instruct_mner.errors import ModelError
from instruct_mner.models.pixel_settings import fixed, longest_edge, number_of_pixels, number_of_tiles, smart_resize
from instruct_mner.schema.pixel_limits import PixelLimits

SIDES = st.integers(1, 6000)


@given(SIDES, SIDES, st.sampled_from([8, 14, 28, 32]), st.integers(1, 10_000), st.integers(10_000, 20_000_000))
def test_resize_is_that_of_transformers(height: int, width: int, factor: int, least: int, most: int) -> None:
    limits = {"factor": factor, "min_pixels": least, "max_pixels": most}
    if max(height, width) / min(height, width) > 200:
        with pytest.raises(ModelError, match="too narrow"):
            smart_resize(height, width, **limits)
        with pytest.raises(ValueError, match="aspect ratio"):
            original(height, width, **limits)
    else:
        assert smart_resize(height, width, **limits) == original(height, width, **limits)


def test_limits_become_settings_of_the_image_processor() -> None:
    limits = PixelLimits(max_pixels=640_000)
    assert longest_edge(None, limits) == {"size": {"longest_edge": 800}}
    qwen = SimpleNamespace(size={"shortest_edge": 3136, "longest_edge": 1_000_000})
    assert number_of_pixels(qwen, limits) == {"size": {"shortest_edge": 3136, "longest_edge": 640_000}}
    tiled = SimpleNamespace(size={"height": 400, "width": 400})
    assert number_of_tiles(tiled, limits) == {"max_patches": 4}
    for settings in (longest_edge, number_of_tiles, fixed):
        assert settings(tiled, PixelLimits()) == {}


def test_limits_that_a_family_does_not_have() -> None:
    with pytest.raises(ModelError, match=r"leave pixels\.min_pixels out"):
        longest_edge(None, PixelLimits(min_pixels=100))
    with pytest.raises(ModelError, match="picture sizes of its own"):
        fixed(None, PixelLimits(max_pixels=100))
    qwen = SimpleNamespace(size={"shortest_edge": 3136, "longest_edge": 1_000_000})
    with pytest.raises(ModelError, match="more than pixels"):
        number_of_pixels(qwen, PixelLimits(max_pixels=3000))
