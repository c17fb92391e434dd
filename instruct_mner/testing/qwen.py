"""Tiny Qwen2-VL, Qwen2.5-VL and Qwen3-VL."""

from __future__ import annotations

from collections.abc import Callable

from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ProcessorMixin,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

from instruct_mner.testing.tokenizer import Vocabulary

VOCABULARY = Vocabulary(
    special_tokens=(
        "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
        "<|video_pad|>",
    ),
    end_of_turn="<|im_end|>",
    # Source: chat_template.json of Qwen2-VL to Qwen3-VL, without tools, videos, picture numbers and default system
    # message.
    chat_template=(
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
        "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}{{ '<|vision_start|><|image_pad|><|vision_end|>' }}"
        "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}{{ '<|im_end|>\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
)  # fmt: skip


def token_ids(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    """Return the ids of tokens that stand for pictures, under their names in a config."""
    names = {
        "image_token_id": "<|image_pad|>",
        "video_token_id": "<|video_pad|>",
        "vision_start_token_id": "<|vision_start|>",
        "vision_end_token_id": "<|vision_end|>",
    }
    return {name: int(tokenizer.convert_tokens_to_ids(token)) for name, token in names.items()}


def text_settings(
    tokenizer: PreTrainedTokenizerFast, width: int, layers: int, rope: dict[str, object]
) -> dict[str, object]:
    """Return the config of a decoder, with further parameters of its rotation by position."""
    third = width // 24
    section = [width // 8 - 2 * third, third, third]
    return {
        "vocab_size": len(tokenizer), "hidden_size": width, "intermediate_size": 2 * width,
        "num_hidden_layers": layers, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 8192, "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.pad_token_id,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": section, **rope},
    }  # fmt: skip


def qwen3_vision(width: int) -> dict[str, object]:
    """Return the config of a vision tower of Qwen3-VL and Qwen3.5 for a decoder of this width."""
    return {
        "hidden_size": 64, "intermediate_size": 128, "depth": 2, "num_heads": 4, "patch_size": 16,
        "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": width, "num_position_embeddings": 64,
    }  # fmt: skip


def processor_of(
    kind: Callable[..., ProcessorMixin], video: object, tokenizer: PreTrainedTokenizerFast, patch_size: int
) -> ProcessorMixin:
    """Return a processor of a class, with patches of so many pixels."""
    size = {"shortest_edge": 64 * 64, "longest_edge": 128 * 128}
    images = Qwen2VLImageProcessor(size=size, patch_size=patch_size, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    return kind(images, tokenizer, video, chat_template=VOCABULARY.chat_template)


def build_qwen2_vl(
    tokenizer: PreTrainedTokenizerFast, width: int, layers: int
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """Qwen2-VL with patches of 14 pixels."""
    config = Qwen2VLConfig(
        vision_config={
            "depth": 2, "embed_dim": 64, "hidden_size": width, "num_heads": 4, "mlp_ratio": 2, "patch_size": 14,
            "spatial_merge_size": 2, "temporal_patch_size": 2,
        },
        text_config=text_settings(tokenizer, width, layers, {}),
        tie_word_embeddings=True,
        **token_ids(tokenizer),
    )  # fmt: skip
    processor = processor_of(Qwen2VLProcessor, Qwen2VLVideoProcessor(), tokenizer, 14)
    return Qwen2VLForConditionalGeneration(config), processor


def build_qwen2_5_vl(
    tokenizer: PreTrainedTokenizerFast, width: int, layers: int
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """Qwen2.5-VL with patches of 14 pixels and one layer of windowed attention."""
    config = Qwen2_5_VLConfig(
        vision_config={
            "depth": 2, "hidden_size": 64, "intermediate_size": 128, "out_hidden_size": width, "num_heads": 4,
            "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 56,
            "fullatt_block_indexes": [1],
        },
        text_config=text_settings(tokenizer, width, layers, {}),
        tie_word_embeddings=True,
        **token_ids(tokenizer),
    )  # fmt: skip
    processor = processor_of(Qwen2_5_VLProcessor, Qwen2VLVideoProcessor(), tokenizer, 14)
    return Qwen2_5_VLForConditionalGeneration(config), processor


def build_qwen3_vl(
    tokenizer: PreTrainedTokenizerFast, width: int, layers: int
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """Qwen3-VL with patches of 16 pixels and one DeepStack layer."""
    text = text_settings(tokenizer, width, layers, {"mrope_interleaved": True})
    config = Qwen3VLConfig(
        vision_config={**qwen3_vision(width), "deepstack_visual_indexes": [0]},
        text_config={**text, "head_dim": width // 4},
        tie_word_embeddings=True,
        **token_ids(tokenizer),
    )  # fmt: skip
    processor = processor_of(Qwen3VLProcessor, Qwen3VLVideoProcessor(), tokenizer, 16)
    return Qwen3VLForConditionalGeneration(config), processor
