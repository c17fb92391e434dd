"""All that is known of a model family, in one entry each; nothing else in the package asks what a model is.

To add a family, add an entry to ``FAMILIES``, a tiny model to ``models/tiny.py``, and run the parametrised tests
of ``tests/models``: they check the paths, the LoRA pattern, the token grid by behaviour, and the boxes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from math import isqrt
from typing import TYPE_CHECKING, Any

from instruct_mner.errors import ModelError
from instruct_mner.images import BoxConvention
from instruct_mner.records import Record

if TYPE_CHECKING:
    from torch import Tensor

# The linear layers of a decoder block of the Llama and Qwen line.
_DECODER_LINEARS = r"(?:q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"


class PixelLimits(Record):
    """Least and most pixels of a picture after the processor's resize; ``None`` = the model's own default."""

    min_pixels: int | None = None
    max_pixels: int | None = None


@dataclass(frozen=True)
class Family:
    """What is particular to a family of vision-language models.

    Attributes:
        name: As written in ``mner.json``.
        model_types: ``config.model_type`` of its models.
        decoder_path: The text decoder inside ``ForConditionalGeneration``.
        vision_paths: Vision tower and projector, kept frozen and out of LoRA.
        box_convention: How its models write coordinates.
        token_boxes: Where each image token looks; see :func:`token_boxes`.
        pixel_size: The image processor's ``size`` under pixel limits, from its present ``size``.
        tiles: Whether a picture is cut into tiles, so that a box may span several of them.
    """

    name: str
    model_types: tuple[str, ...]
    decoder_path: str
    vision_paths: tuple[str, ...]
    box_convention: BoxConvention
    token_boxes: Callable[[Any, Tensor, Mapping[str, Tensor]], list[Tensor]]
    pixel_size: Callable[[PixelLimits, Mapping[str, int]], dict[str, int]]
    tiles: bool

    @property
    def lora_pattern(self) -> str:
        """A regular expression of the linear layers of the decoder, and of nothing in the vision tower."""
        return rf"(?:.*\.)?{re.escape(self.decoder_path)}\.layers\.\d+\..*\.{_DECODER_LINEARS}"


def _cells(rows: int, columns: int, left: float, top: float, width: float, height: float) -> Tensor:
    """Boxes of a rows x columns raster over a rectangle, ``(rows * columns, 4)``, row by row."""
    import torch

    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    corners = [
        left + width * x / columns,
        top + height * y / rows,
        left + width * (x + 1) / columns,
        top + height * (y + 1) / rows,
    ]
    return torch.stack([corner.flatten().float() for corner in corners], dim=1)


def _idefics3_boxes(processor: Any, input_ids: Tensor, inputs: Mapping[str, Tensor]) -> list[Tensor]:
    """Tiles row by row, each a square of tokens, then the whole picture once more.

    Source: ``Idefics3Processor.replace_image_token``. Rows and columns are read from the ``<row_i_col_j>`` tokens:
    ``get_number_of_image_patches`` rounds otherwise than the image processor itself (transformers 5.19).
    """
    import torch

    tokens = processor.tokenizer.convert_ids_to_tokens(input_ids.tolist())
    side = isqrt(processor.image_seq_len)
    pictures: list[Tensor] = []
    tiles: list[tuple[int, int]] = []
    marker = ""
    for token, run in groupby(tokens):
        if token != processor.image_token:
            marker = token
            continue
        if len(list(run)) != side * side:
            raise ModelError(f"a tile has other than {side} x {side} image tokens; the text was cut inside a picture")
        match = re.fullmatch(r"<row_(\d+)_col_(\d+)>", marker)
        if match:
            tiles.append((int(match.group(1)) - 1, int(match.group(2)) - 1))
            continue
        rows = 1 + max((row for row, _ in tiles), default=0)
        columns = 1 + max((column for _, column in tiles), default=0)
        parts = [_cells(side, side, column / columns, row / rows, 1 / columns, 1 / rows) for row, column in tiles]
        pictures.append(torch.cat([*parts, _cells(side, side, 0, 0, 1, 1)]))
        tiles = []
    return pictures


def _qwen_boxes(processor: Any, input_ids: Tensor, inputs: Mapping[str, Tensor]) -> list[Tensor]:
    """Merged patches row by row.

    Source: ``image_grid_thw`` counts patches before ``merge_size`` x ``merge_size`` of them become one token.
    """
    merge = processor.image_processor.merge_size
    grids = inputs["image_grid_thw"].tolist() if "image_grid_thw" in inputs else []
    return [_cells(height // merge, width // merge, 0, 0, 1, 1) for _, height, width in grids]


def _longest_edge(limits: PixelLimits, size: Mapping[str, int]) -> dict[str, int]:
    """Idefics3 knows only a longest edge: the square of it is its most pixels, and there is no least."""
    if limits.min_pixels is not None:
        raise ModelError("this family has no least number of pixels: leave pixels.min_pixels out")
    return dict(size) if limits.max_pixels is None else {"longest_edge": isqrt(limits.max_pixels)}


def _shortest_and_longest(limits: PixelLimits, size: Mapping[str, int]) -> dict[str, int]:
    """Qwen's ``size`` keeps numbers of pixels under the names of edges."""
    least = size["shortest_edge"] if limits.min_pixels is None else limits.min_pixels
    most = size["longest_edge"] if limits.max_pixels is None else limits.max_pixels
    if least > most:
        raise ModelError(f"pixels.min_pixels is {least}, more than pixels.max_pixels, {most}")
    return {"shortest_edge": least, "longest_edge": most}


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            name="idefics3",  # SmolVLM-256M/500M/2.2B, Idefics3-8B
            model_types=("idefics3",),
            decoder_path="model.text_model",
            vision_paths=("model.vision_model", "model.connector"),
            box_convention=BoxConvention(name="relative", range=1000),
            token_boxes=_idefics3_boxes,
            pixel_size=_longest_edge,
            tiles=True,
        ),
        Family(
            name="qwen3_vl",
            model_types=("qwen3_vl",),
            decoder_path="model.language_model",
            vision_paths=("model.visual",),
            box_convention=BoxConvention(name="relative", range=1000),
            token_boxes=_qwen_boxes,
            pixel_size=_shortest_and_longest,
            tiles=False,
        ),
    )
}


def find_family(model_type: str) -> Family:
    """The family of a ``config.model_type``.

    Raises:
        ModelError: It is not supported; the message lists what is.
    """
    for family in FAMILIES.values():
        if model_type in family.model_types:
            return family
    known = ", ".join(kind for family in FAMILIES.values() for kind in family.model_types)
    raise ModelError(f"models of type '{model_type}' are not supported; supported types: {known}")


def token_boxes(family: Family, processor: Any, input_ids: Tensor, inputs: Mapping[str, Tensor]) -> list[Tensor]:
    """Where each image token of one example looks.

    Args:
        family: The model's family.
        processor: Its processor.
        input_ids: ``(tokens,)``, one example.
        inputs: What the processor returned for this example beside the ids.

    Returns:
        One ``(image_tokens, 4)`` a picture: ``x0, y0, x1, y1`` in 0..1 of the picture's width and height, in the
        order of the image tokens.

    Raises:
        ModelError: The boxes are not as many as the image tokens.
    """
    boxes = family.token_boxes(processor, input_ids, inputs)
    expected = int((input_ids == processor.image_token_id).sum())
    found = sum(len(each) for each in boxes)
    if found != expected:
        raise ModelError(f"the token grid names {found} cells, the text has {expected} image tokens")
    return boxes
