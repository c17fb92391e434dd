"""Boxes of the image tokens of each family, in 0..1 of the picture and in the order of the tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import isqrt
from typing import TYPE_CHECKING

import torch
from transformers.image_processing_utils import select_best_resolution
from transformers.models.got_ocr2.image_processing_got_ocr2 import get_optimal_tiled_canvas

from instruct_mner.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PretrainedConfig, ProcessorMixin


@dataclass(frozen=True)
class Picture:
    """Pictures of one example.

    Attributes:
        sizes: Width and height of each picture as opened.
        inputs: Outputs of the processor for this example beside the ids.
    """

    sizes: Sequence[tuple[int, int]]
    inputs: Mapping[str, Tensor]


def cells(rows: int, columns: int, *, left: float = 0, top: float = 0, width: float = 1, height: float = 1) -> Tensor:
    """Return the boxes of a raster over a rectangle, ``(rows * columns, 4)``, row by row."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    corners = [
        left + width * x / columns,
        top + height * y / rows,
        left + width * (x + 1) / columns,
        top + height * (y + 1) / rows,
    ]
    return torch.stack([corner.flatten().float() for corner in corners], dim=1)


def _tiled(tiles: Sequence[tuple[int, int]], side: int) -> list[Tensor]:
    """Return the boxes of tiles of ``side`` x ``side`` tokens at ``(row, column)``, which cover the picture."""
    rows, columns = 1 + max(row for row, _ in tiles), 1 + max(column for _, column in tiles)
    return [
        cells(side, side, left=column / columns, top=row / rows, width=1 / columns, height=1 / rows)
        for row, column in tiles
    ]


def idefics_boxes(processor: ProcessorMixin, input_ids: list[int], pictures: Picture) -> list[Tensor]:
    """Return boxes of Idefics3 and SmolVLM2: tiles row by row, each a square of tokens, then the whole picture.

    Source: ``Idefics3Processor.replace_image_token``. Rows and columns are read from the ``<row_i_col_j>`` tokens:
    ``get_number_of_image_patches`` rounds otherwise than the image processor itself (transformers 5.19).
    """
    side = isqrt(processor.image_seq_len)
    boxes: list[Tensor] = []
    tiles: list[tuple[int, int]] = []
    marker = ""
    for token, run in groupby(processor.tokenizer.convert_ids_to_tokens(input_ids)):
        if token != processor.image_token:
            marker = token
            continue
        if len(list(run)) != side * side:
            raise ModelError(f"a tile has other than {side} x {side} image tokens; the text was cut inside a picture")
        match = re.fullmatch(r"<row_(\d+)_col_(\d+)>", marker)
        if match:
            tiles.append((int(match.group(1)) - 1, int(match.group(2)) - 1))
        else:
            boxes.append(torch.cat([*(_tiled(tiles, side) if tiles else []), cells(side, side)]))
            tiles = []
    return boxes


def qwen_boxes(processor: ProcessorMixin, input_ids: list[int], pictures: Picture) -> list[Tensor]:
    """Return boxes of Qwen2-VL to Qwen3-VL: merged patches row by row.

    Source: ``image_grid_thw`` counts patches before ``merge_size`` x ``merge_size`` of them become one token.
    """
    merge = processor.image_processor.merge_size
    grids = pictures.inputs["image_grid_thw"].tolist() if "image_grid_thw" in pictures.inputs else []
    return [cells(height // merge, width // merge) for _, height, width in grids]


def gemma_boxes(processor: ProcessorMixin, input_ids: list[int], pictures: Picture) -> list[Tensor]:
    """Return boxes of Gemma 3: one square of tokens for each picture of any shape; pan and scan is off by default."""
    side = isqrt(processor.image_seq_length)
    return [cells(side, side) for _ in pictures.sizes]


def gemma4_boxes(processor: ProcessorMixin, input_ids: list[int], pictures: Picture) -> list[Tensor]:
    """Return boxes of Gemma 4: squares of pooled patches row by row, in the proportions of the picture.

    Source: ``image_position_ids`` holds column and row of each patch, -1 at padding; ``pooling_kernel_size`` x
    ``pooling_kernel_size`` patches become one token (``Gemma4VisionPooler``, transformers 5.19).
    """
    side = processor.image_processor.pooling_kernel_size
    boxes = []
    for positions in pictures.inputs.get("image_position_ids", ()):
        columns, rows = ((positions.amax(dim=0) + 1) // side).tolist()
        boxes.append(cells(rows, columns))
    return boxes


def internvl_boxes(processor: ProcessorMixin, input_ids: list[int], pictures: Picture) -> list[Tensor]:
    """Return boxes of InternVL 3: tiles row by row, then the whole picture where there are several tiles.

    Source: ``GotOcr2ImageProcessor.crop_image_to_patches``.
    """
    images, side = processor.image_processor, isqrt(processor.image_seq_length)
    tile = (images.size["height"], images.size["width"])
    boxes = []
    for width, height in pictures.sizes:
        columns, rows = get_optimal_tiled_canvas((height, width), tile, images.min_patches, images.max_patches)
        parts = _tiled([(row, column) for row in range(rows) for column in range(columns)], side)
        boxes.append(torch.cat(parts if len(parts) == 1 else [*parts, cells(side, side)]))
    return boxes


def llava_onevision_boxes(processor: ProcessorMixin, input_ids: list[int], pictures: Picture) -> list[Tensor]:
    """Return boxes of LLaVA-OneVision: the whole picture, then its tiles as a raster with a line break after each row.

    Several pictures are each encoded as a whole only, with one line break. Padding of the tiles is cut away by the
    model, so that the raster covers the picture.

    Source: ``LlavaOnevisionModel.pack_image_features``.
    """
    side = isqrt(processor.num_image_tokens)
    line_break = torch.tensor([[1.0, 1.0, 1.0, 1.0]])
    if len(pictures.sizes) > 1:
        return [torch.cat([cells(side, side), line_break]) for _ in pictures.sizes]
    boxes = []
    tile = processor.image_processor.size["height"]
    for width, height in pictures.sizes:
        rows, columns = _llava_raster(processor, (width, height), tile, side)
        raster = cells(rows, columns).view(rows, columns, 4)
        breaks = line_break.expand(rows, 1, 4)
        boxes.append(torch.cat([cells(side, side), torch.cat([raster, breaks], dim=1).flatten(0, 1)]))
    return boxes


def _llava_raster(processor: ProcessorMixin, size: tuple[int, int], tile: int, side: int) -> tuple[int, int]:
    width, height = size
    best = select_best_resolution([height, width], processor.image_processor.image_grid_pinpoints)
    features, rows = processor._get_unpadded_features(height, width, side, side, best[0] // tile, best[1] // tile)
    return rows, features // rows


def no_boxes(processor: ProcessorMixin, ids: list[int], picture: Picture) -> list[Tensor]:
    """Return no box: text models have no image tokens."""
    return []


def no_grid_inputs(processor: ProcessorMixin, num_pictures: int, rows: int, columns: int) -> dict[str, Tensor]:
    """Return no inputs: positions are those of the tokens, and the model needs no grid."""
    return {}


def qwen_grid_inputs(processor: ProcessorMixin, num_pictures: int, rows: int, columns: int) -> dict[str, Tensor]:
    """Return the grid in patches, from which Qwen2-VL to Qwen3-VL make the positions of image tokens."""
    merge = processor.image_processor.merge_size
    return {"image_grid_thw": torch.tensor([[1, rows * merge, columns * merge]] * num_pictures)}


def no_deepstack(config: PretrainedConfig) -> int:
    """Return 0: pictures enter the decoder once, as embeddings."""
    return 0


def qwen3_deepstack(config: PretrainedConfig) -> int:
    """Return the number of vision layers whose features Qwen3-VL adds to the first layers of the decoder.

    Source: DeepStack, https://arxiv.org/abs/2406.04334.
    """
    return len(config.vision_config.deepstack_visual_indexes)
