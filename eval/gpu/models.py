"""Models of published shapes with random weights, made on the machine that checks them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Shape of a Qwen2.5-VL.

    Attributes:
        name: Name in the report.
        text: Settings of the decoder.
        vision: Settings of the vision tower.
        ties: Whether input and output share their embeddings.
    """

    name: str
    text: dict[str, Any]
    vision: dict[str, Any]
    ties: bool


def _vision(width: int) -> dict[str, Any]:
    return {
        "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "out_hidden_size": width, "num_heads": 16,
        "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 112,
        "fullatt_block_indexes": [7, 15, 23, 31],
    }  # fmt: skip


def _rope(section: list[int]) -> dict[str, Any]:
    return {"rope_type": "default", "rope_theta": 1_000_000.0, "mrope_section": section}


# Source: config.json of https://huggingface.co/Qwen/Qwen2.5-VL-3B-Instruct and …-7B-Instruct.
SHAPES: dict[str, Shape] = {
    "3B": Shape(
        name="Qwen2.5-VL-3B",
        text={
            "vocab_size": 151_936, "hidden_size": 2048, "intermediate_size": 11_008, "num_hidden_layers": 36,
            "num_attention_heads": 16, "num_key_value_heads": 2, "max_position_embeddings": 32_768,
            "rope_parameters": _rope([16, 24, 24]),
        },
        vision=_vision(2048),
        ties=True,
    ),
    "7B": Shape(
        name="Qwen2.5-VL-7B",
        text={
            "vocab_size": 152_064, "hidden_size": 3584, "intermediate_size": 18_944, "num_hidden_layers": 28,
            "num_attention_heads": 28, "num_key_value_heads": 4, "max_position_embeddings": 32_768,
            "rope_parameters": _rope([16, 24, 24]),
        },
        vision=_vision(3584),
        ties=False,
    ),
    "small": Shape(
        name="Qwen2.5-VL, tiny",
        text={
            "vocab_size": 2048, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 8192,
            "rope_parameters": _rope([4, 6, 6]),
        },
        vision={
            "depth": 2, "hidden_size": 64, "intermediate_size": 128, "out_hidden_size": 128, "num_heads": 4,
            "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 56,
            "fullatt_block_indexes": [1],
        },
        ties=True,
    ),
}  # fmt: skip


def write_model(shape: Shape, folder: Path, most_pixels: int) -> Path:
    """Write a model with random weights in bfloat16, its processor and a small tokenizer, and return the folder.

    Args:
        shape: Shape of the model.
        folder: Folder to write.
        most_pixels: Largest number of pixels of a picture.
    """
    import torch
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
        set_seed,
    )

    from instruct_mner.models.checkpoint_names import save_whole
    from instruct_mner.models.families import find_family
    from instruct_mner.prompting.templates import find_prompt
    from instruct_mner.testing.qwen import VOCABULARY, token_ids
    from instruct_mner.testing.tokenizer import train_tokenizer

    tokenizer = train_tokenizer(VOCABULARY, [find_prompt("tag").source] * 4, 1000)
    ends = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = Qwen2_5_VLConfig(
        text_config={**shape.text, **ends, "bos_token_id": tokenizer.pad_token_id},
        vision_config=shape.vision,
        tie_word_embeddings=shape.ties,
        **token_ids(tokenizer),
    )
    set_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
            model = Qwen2_5_VLForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(before)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    save_whole(model, folder, find_family(model.config.model_type))
    size = {"shortest_edge": 56 * 56, "longest_edge": most_pixels}
    images = Qwen2VLImageProcessor(size=size, patch_size=14)
    Qwen2_5_VLProcessor(
        images, tokenizer, Qwen2VLVideoProcessor(), chat_template=VOCABULARY.chat_template
    ).save_pretrained(folder)
    return folder
