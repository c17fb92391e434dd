"""Model families, an entry for each; nothing else in the package depends on the type of a model.

To add a family, add an entry to ``FAMILIES``, a tiny model to ``testing``, and run the parametrised tests
of ``tests/models``: they check the paths, the LoRA pattern, the token grid by behaviour, and the boxes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from instruct_mner.errors import ModelError
from instruct_mner.models import image_token_boxes, pixel_settings
from instruct_mner.models.image_token_boxes import Picture
from instruct_mner.models.pixel_settings import PixelSettings
from instruct_mner.schema.boxes import BoxConvention
from instruct_mner.schema.pixel_limits import PixelLimits

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import BaseImageProcessor, PretrainedConfig, ProcessorMixin

# The linear layers of a decoder block of the Llama and Qwen line, and those of linear attention (Qwen3.5). Experts are
# no linear layers: a mixture of experts has an adapter on its attention only.
# Source: vLLM 0.32 refuses an adapter on GLM's `gate_up_proj`, which is one layer there: it has none.
_DECODER_LINEARS = r"(?:q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj|in_proj_qkv|in_proj_z|out_proj)"


@dataclass(frozen=True, kw_only=True)
class Family:
    """Properties of a family of vision-language models, or of text models.

    Attributes:
        name: Name in ``mner.json``, and ``config.model_type`` of its models.
        decoder_path: Path of the text decoder inside ``ForConditionalGeneration`` or ``ForCausalLM``.
        vision_paths: Paths of vision tower and projector, which are frozen and have no LoRA; none in a text family.
        token_boxes: Function that returns the box of each image token; see :func:`token_boxes`.
        pixel_settings: Function that returns the attributes of the image processor for pixel limits.
        box_convention: Form of coordinates in its models' answers.
        resized: Function that returns width and height of a picture after the processor's resize; ``None`` for
            families with relative coordinates.
        grid_inputs: Function that returns the inputs of the model for pictures of so many rows and columns of image
            tokens.
        splits_pictures: Whether the projector's output is a tuple of pictures rather than one tensor.
        num_deepstack: Function that returns the number of decoder layers, beside the first, that pictures enter.
        hub_names: Parts of weight names as transformers saves them, with those of the checkpoints on the hub.
        hub_experts: Whether the weights of experts on the hub have rows for inputs, not for outputs.
        takes_adapters: Whether vLLM 0.32 can serve adapters on its models; merged ones it can.
        takes_features: Whether vLLM 0.32 was seen to answer from features in the place of a picture as transformers do.
        recurrent: Whether layers hand a state from token to token, which padding inside a row would change.
    """

    name: str
    decoder_path: str
    vision_paths: tuple[str, ...] = ()
    token_boxes: Callable[[ProcessorMixin, list[int], Picture], list[Tensor]] = image_token_boxes.no_boxes
    pixel_settings: Callable[[BaseImageProcessor, PixelLimits], PixelSettings] = pixel_settings.no_pictures
    box_convention: BoxConvention = field(default_factory=BoxConvention)
    resized: Callable[[ProcessorMixin, tuple[int, int]], tuple[int, int]] | None = None
    grid_inputs: Callable[[ProcessorMixin, int, int, int], dict[str, Tensor]] = image_token_boxes.no_grid_inputs
    splits_pictures: bool = False
    num_deepstack: Callable[[PretrainedConfig], int] = image_token_boxes.no_deepstack
    hub_names: Mapping[str, str] = field(default_factory=dict)
    hub_experts: bool = False
    takes_adapters: bool = True
    takes_features: bool = False
    recurrent: bool = False

    @property
    def sees(self) -> bool:
        """True where its models are given pictures; text models are given only what is said of them (``context``)."""
        return bool(self.vision_paths)

    @property
    def lora_pattern(self) -> str:
        """Regular expression of the linear layers of the decoder, and of nothing in the vision tower."""
        return rf"(?:.*\.)?{re.escape(self.decoder_path)}\.layers\.\d+\..*\.{_DECODER_LINEARS}"


_LLAVA_VISION = ("model.vision_tower", "model.multi_modal_projector")
# transformers 5.19 leaves out a part of the names of a SigLIP tower when it saves one.
_SIGLIP_NAMES = {"vision_tower.": "vision_tower.vision_model."}

# The line of Qwen2-VL, of which later families change a part.
_QWEN2_VL = Family(
    name="qwen2_vl",
    decoder_path="model.language_model",
    vision_paths=("model.visual",),
    token_boxes=image_token_boxes.qwen_boxes,
    grid_inputs=image_token_boxes.qwen_grid_inputs,
    splits_pictures=True,
    pixel_settings=pixel_settings.number_of_pixels,
    takes_features=True,
)

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(  # SmolVLM-256M/500M/2.2B-Instruct, Idefics3-8B
            name="idefics3",
            decoder_path="model.text_model",
            vision_paths=("model.vision_model", "model.connector"),
            token_boxes=image_token_boxes.idefics_boxes,
            pixel_settings=pixel_settings.longest_edge,
            takes_features=True,
        ),
        Family(  # SmolVLM2-256M/500M/2.2B-Instruct
            name="smolvlm",
            decoder_path="model.text_model",
            vision_paths=("model.vision_model", "model.connector"),
            token_boxes=image_token_boxes.idefics_boxes,
            pixel_settings=pixel_settings.longest_edge,
            takes_features=True,
        ),
        _QWEN2_VL,
        replace(
            _QWEN2_VL,
            name="qwen2_5_vl",
            # Source: Qwen2.5-VL technical report (arXiv:2502.13923), section 2.1: absolute coordinates of the input.
            box_convention=BoxConvention(name="absolute"),
            resized=pixel_settings.qwen_resized,
        ),
        replace(
            _QWEN2_VL,
            name="qwen3_vl",
            num_deepstack=image_token_boxes.qwen3_deepstack,
        ),
        replace(  # Qwen3-VL-30B-A3B and -235B-A22B-Instruct: a mixture of experts
            _QWEN2_VL,
            name="qwen3_vl_moe",
            takes_features=False,
            num_deepstack=image_token_boxes.qwen3_deepstack,
            hub_experts=True,
        ),
        replace(  # Qwen3.5 from 0.8B to 27B: three layers of four have linear attention
            _QWEN2_VL,
            name="qwen3_5",
            takes_features=False,
            recurrent=True,
        ),
        Family(
            name="gemma3",
            decoder_path="model.language_model",
            vision_paths=_LLAVA_VISION,
            token_boxes=image_token_boxes.gemma_boxes,
            pixel_settings=pixel_settings.fixed,
            hub_names=_SIGLIP_NAMES,
        ),
        Family(  # Gemma-4-E2B/E4B/26B-A4B/31B-it
            name="gemma4",
            decoder_path="model.language_model",
            vision_paths=("model.vision_tower", "model.embed_vision"),
            token_boxes=image_token_boxes.gemma4_boxes,
            splits_pictures=True,
            pixel_settings=pixel_settings.number_of_soft_tokens,
        ),
        replace(  # GLM-4.6V-Flash
            _QWEN2_VL,
            name="glm46v",
            takes_features=False,
            pixel_settings=pixel_settings.number_of_pixels_of_frames,
        ),
        Family(  # InternVL3-*-hf, InternVL3.5-*-HF
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
        # Text models: SmolLM2 and Llama 2 to 3.3; Qwen2 and 2.5; Qwen3; SmolLM3; Gemma 3 270M and 1B; Mistral.
        *(
            Family(name=name, decoder_path="model")
            for name in ("llama", "qwen2", "qwen3", "smollm3", "gemma3_text", "mistral")
        ),
    )
}


def find_family(model_type: str) -> Family:
    """Return the family of a ``config.model_type``.

    Raises:
        ModelError: The type is not supported; the message lists the supported ones.
    """
    if model_type not in FAMILIES:
        raise ModelError(f"models of type '{model_type}' are not supported; supported types: {', '.join(FAMILIES)}")
    return FAMILIES[model_type]


def token_boxes(
    family: Family,
    processor: ProcessorMixin,
    image_token_id: int,
    input_ids: Sequence[int],
    sizes: Sequence[tuple[int, int]],
    inputs: Mapping[str, Tensor],
) -> list[Tensor]:
    """Return the box of each image token of one example.

    Args:
        family: Family of the model.
        processor: Processor of the model.
        image_token_id: Id of an image token.
        input_ids: Token ids of the example.
        sizes: Width and height of each of its pictures.
        inputs: Outputs of the processor for this example beside the ids.

    Returns:
        One ``(image_tokens, 4)`` a picture: ``x0, y0, x1, y1`` in 0..1 of the picture's width and height, in the
        order of the image tokens. A token of no region (a line break between rows) has a box without area.

    Raises:
        ModelError: The boxes are not as many as the image tokens.
    """
    ids = list(input_ids)
    boxes = family.token_boxes(processor, ids, Picture(sizes, inputs))
    expected, num_cells = ids.count(image_token_id), sum(len(each) for each in boxes)
    if num_cells != expected:
        raise ModelError(f"the token grid names {num_cells} cells, the text has {expected} image tokens")
    return boxes
