"""All that is known of a model family, in one entry each; nothing else in the package asks what a model is.

To add a family, add an entry to ``FAMILIES``, a tiny model to ``models/tiny``, and run the parametrised tests
of ``tests/models``: they check the paths, the LoRA pattern, the token grid by behaviour, and the boxes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from instruct_mner.errors import ModelError
from instruct_mner.models import image_token_boxes, pixel_settings
from instruct_mner.models.image_token_boxes import Picture
from instruct_mner.schema.boxes import BoxConvention
from instruct_mner.schema.pixel_limits import PixelLimits

if TYPE_CHECKING:
    from torch import Tensor

# The linear layers of a decoder block of the Llama and Qwen line.
_DECODER_LINEARS = r"(?:q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"


@dataclass(frozen=True)
class Family:
    """What is particular to a family of vision-language models.

    Attributes:
        name: As written in ``mner.json``, and its models' ``config.model_type``.
        decoder_path: The text decoder inside ``ForConditionalGeneration``.
        vision_paths: Vision tower and projector, kept frozen and out of LoRA.
        token_boxes: Where each image token looks; see :func:`token_boxes`.
        pixel_settings: Attributes of the image processor that put pixel limits into force.
        box_convention: How its models write coordinates.
        resized: Width and height of a picture after the processor's resize; only absolute coordinates need it.
        grid_inputs: What the model is told of pictures of so many rows and columns of image tokens.
        splits_pictures: Whether the projector's output is a tuple of pictures rather than one tensor.
        num_deepstack: Decoder layers, beside the first, that pictures enter, by the model's config.
        hub_names: What names of weights hold as transformers saves them, and as the checkpoints on the hub have it.
        takes_adapters: Whether vLLM 0.32 can serve adapters on its models; merged ones it can.
    """

    name: str
    decoder_path: str
    vision_paths: tuple[str, ...]
    token_boxes: Callable[[Any, list[int], Picture], list[Tensor]]
    pixel_settings: Callable[[Any, PixelLimits], dict[str, Any]]
    box_convention: BoxConvention = field(default_factory=BoxConvention)
    resized: Callable[[Any, tuple[int, int]], tuple[int, int]] | None = None
    grid_inputs: Callable[[Any, int, int, int], dict[str, Tensor]] = image_token_boxes.no_grid_inputs
    splits_pictures: bool = False
    num_deepstack: Callable[[Any], int] = image_token_boxes.no_deepstack
    hub_names: Mapping[str, str] = field(default_factory=dict)
    takes_adapters: bool = True

    @property
    def lora_pattern(self) -> str:
        """A regular expression of the linear layers of the decoder, and of nothing in the vision tower."""
        return rf"(?:.*\.)?{re.escape(self.decoder_path)}\.layers\.\d+\..*\.{_DECODER_LINEARS}"


_LLAVA_VISION = ("model.vision_tower", "model.multi_modal_projector")
# transformers 5.19 leaves out a part of the names of a SigLIP tower when it saves one.
_SIGLIP_NAMES = {"vision_tower.": "vision_tower.vision_model."}

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(  # SmolVLM-256M/500M/2.2B-Instruct, Idefics3-8B
            name="idefics3",
            decoder_path="model.text_model",
            vision_paths=("model.vision_model", "model.connector"),
            token_boxes=image_token_boxes.idefics_boxes,
            pixel_settings=pixel_settings.longest_edge,
        ),
        Family(  # SmolVLM2-256M/500M/2.2B-Instruct
            name="smolvlm",
            decoder_path="model.text_model",
            vision_paths=("model.vision_model", "model.connector"),
            token_boxes=image_token_boxes.idefics_boxes,
            pixel_settings=pixel_settings.longest_edge,
        ),
        Family(
            name="qwen2_vl",
            decoder_path="model.language_model",
            vision_paths=("model.visual",),
            token_boxes=image_token_boxes.qwen_boxes,
            grid_inputs=image_token_boxes.qwen_grid_inputs,
            splits_pictures=True,
            pixel_settings=pixel_settings.number_of_pixels,
        ),
        Family(
            name="qwen2_5_vl",
            decoder_path="model.language_model",
            vision_paths=("model.visual",),
            token_boxes=image_token_boxes.qwen_boxes,
            grid_inputs=image_token_boxes.qwen_grid_inputs,
            splits_pictures=True,
            pixel_settings=pixel_settings.number_of_pixels,
            # Source: Qwen2.5-VL technical report (arXiv:2502.13923), section 2.1: absolute coordinates of the input.
            box_convention=BoxConvention(name="absolute"),
            resized=pixel_settings.qwen_resized,
        ),
        Family(
            name="qwen3_vl",
            decoder_path="model.language_model",
            vision_paths=("model.visual",),
            token_boxes=image_token_boxes.qwen_boxes,
            grid_inputs=image_token_boxes.qwen_grid_inputs,
            splits_pictures=True,
            num_deepstack=image_token_boxes.qwen3_deepstack,
            pixel_settings=pixel_settings.number_of_pixels,
        ),
        Family(
            name="gemma3",
            decoder_path="model.language_model",
            vision_paths=_LLAVA_VISION,
            token_boxes=image_token_boxes.gemma_boxes,
            pixel_settings=pixel_settings.fixed,
            hub_names=_SIGLIP_NAMES,
        ),
        Family(  # InternVL3-*-hf
            name="internvl",
            decoder_path="model.language_model",
            vision_paths=_LLAVA_VISION,
            token_boxes=image_token_boxes.internvl_boxes,
            pixel_settings=pixel_settings.number_of_tiles,
        ),
        Family(
            name="llava_onevision",
            decoder_path="model.language_model",
            vision_paths=_LLAVA_VISION,
            token_boxes=image_token_boxes.llava_onevision_boxes,
            splits_pictures=True,
            pixel_settings=pixel_settings.fixed,
            hub_names=_SIGLIP_NAMES,
            takes_adapters=False,
        ),
    )
}


def find_family(model_type: str) -> Family:
    """The family of a ``config.model_type``.

    Raises:
        ModelError: It is not supported; the message lists what is.
    """
    if model_type not in FAMILIES:
        raise ModelError(f"models of type '{model_type}' are not supported; supported types: {', '.join(FAMILIES)}")
    return FAMILIES[model_type]


def token_boxes(
    family: Family,
    processor: Any,
    image_token_id: int,
    input_ids: Sequence[int],
    sizes: Sequence[tuple[int, int]],
    inputs: Mapping[str, Any],
) -> list[Tensor]:
    """Where each image token of one example looks.

    Args:
        family: The model's family.
        processor: Its processor.
        image_token_id: The id that stands for an image token.
        input_ids: Those of one example.
        sizes: Width and height of each of its pictures.
        inputs: What the processor returned for this example beside the ids.

    Returns:
        One ``(image_tokens, 4)`` a picture: ``x0, y0, x1, y1`` in 0..1 of the picture's width and height, in the
        order of the image tokens. A token that looks nowhere (a line break between rows) has a box without area.

    Raises:
        ModelError: The boxes are not as many as the image tokens.
    """
    ids = list(input_ids)
    boxes = family.token_boxes(processor, ids, Picture(sizes, inputs))
    expected, found = ids.count(image_token_id), sum(len(each) for each in boxes)
    if found != expected:
        raise ModelError(f"the token grid names {found} cells, the text has {expected} image tokens")
    return boxes
