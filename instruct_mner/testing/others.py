"""Tiny Gemma 3, InternVL 3 and LLaVA-OneVision."""

from __future__ import annotations

from typing import Any

import torch
from transformers import (
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3ImageProcessor,
    Gemma3Processor,
    GotOcr2ImageProcessor,
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLProcessor,
    InternVLVideoProcessor,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessor,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ProcessorMixin,
)

from instruct_mner.testing.tokenizer import Vocabulary

GEMMA_VOCABULARY = Vocabulary(
    special_tokens=(
        "<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>",
        "<image_soft_token>",
    ),
    end_of_turn="<end_of_turn>",
    # Source: chat_template.json of gemma-3-4b-it, without its checks and system message. It trims what it is given.
    chat_template=(
        "{{ '<bos>' }}{% for message in messages %}"
        "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\n' }}"
        "{% if message['content'] is string %}{{ message['content'] | trim }}{% else %}"
        "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<start_of_image>' }}"
        "{% elif part['type'] == 'text' %}{{ part['text'] | trim }}{% endif %}{% endfor %}{% endif %}"
        "{{ '<end_of_turn>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
    ),
    named={"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"},
    # Gemma's own has runs of line breaks as tokens too; vLLM 0.32 (gemma3_mm.py) asks for these four by name.
    added=("\n", "\n\n", "\n\n\n", "\n\n\n\n"),
)  # fmt: skip

_CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ 'IMAGE\n' }}{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
INTERNVL_VOCABULARY = Vocabulary(
    special_tokens=("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>"),
    end_of_turn="<|im_end|>",
    # Source: chat_template.jinja of InternVL3-1B-hf, without videos.
    chat_template=_CHATML.replace("IMAGE", "<IMG_CONTEXT>"),
    named={
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    },
)
LLAVA_VOCABULARY = Vocabulary(
    special_tokens=("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>"),
    end_of_turn="<|im_end|>",
    # Source: chat_template.json of llava-onevision-qwen2-0.5b-ov-hf. Pictures come first, and its generation prompt is
    # not what it puts before an answer.
    chat_template=(
        "{% for message in messages %}{{'<|im_start|>' + message['role'] + ' '}}"
        "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>' }}{% endfor %}"
        "{% for content in message['content'] | selectattr('type', 'equalto', 'video') %}{{ '<video>' }}{% endfor %}"
        "{% if message['role'] != 'assistant' %}"
        "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
        "{{ '\n' + content['text'] }}{% endfor %}"
        "{% else %}"
        "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
        "{% generation %}{{ '\n' + content['text'] }}{% endgeneration %}{% endfor %}"
        "{% endif %}{{'<|im_end|>'}}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
)


def _llama(tokenizer: PreTrainedTokenizerFast, width: int, layers: int, kind: str) -> dict[str, Any]:
    return {
        "model_type": kind, "vocab_size": len(tokenizer), "hidden_size": width, "intermediate_size": 2 * width,
        "num_hidden_layers": layers, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 8192, "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.pad_token_id,
    }  # fmt: skip


def build_gemma3(tokenizer: PreTrainedTokenizerFast, width: int, layers: int) -> tuple[PreTrainedModel, ProcessorMixin]:
    """Gemma 3 with 16 image tokens a picture."""
    config = Gemma3Config(
        vision_config={
            "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
            "image_size": 64, "patch_size": 8,
        },
        text_config={
            **_llama(tokenizer, width, layers, "gemma3_text"), "head_dim": width // 4,
            "query_pre_attn_scalar": width // 4, "sliding_window": 512,
        },
        mm_tokens_per_image=16,
        image_token_index=tokenizer.image_token_id,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        tie_word_embeddings=True,
    )  # fmt: skip
    images = Gemma3ImageProcessor(size={"height": 64, "width": 64}, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    processor = Gemma3Processor(images, tokenizer, chat_template=GEMMA_VOCABULARY.chat_template, image_seq_length=16)
    model = Gemma3ForConditionalGeneration(config)
    # The only weight that transformers leaves at zero: with it no picture would reach the decoder.
    torch.nn.init.normal_(model.model.multi_modal_projector.mm_input_projection_weight, std=0.02)
    return model, processor


def build_internvl(
    tokenizer: PreTrainedTokenizerFast, width: int, layers: int, *, decoder: str = "qwen2"
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """InternVL 3 with 16 image tokens a tile, up to four tiles and a decoder of this kind."""
    config = InternVLConfig(
        vision_config={
            "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
            "image_size": [64, 64], "patch_size": [8, 8],
        },
        text_config={**_llama(tokenizer, width, layers, decoder), "head_dim": width // 4},
        image_token_id=tokenizer.context_image_token_id,
        image_seq_length=16,
        downsample_ratio=0.5,
        tie_word_embeddings=True,
    )  # fmt: skip
    images = GotOcr2ImageProcessor(size={"height": 64, "width": 64}, crop_to_patches=True, min_patches=1, max_patches=4)
    processor = InternVLProcessor(
        images,
        tokenizer,
        InternVLVideoProcessor(size={"height": 64, "width": 64}),
        image_seq_length=16,
        chat_template=INTERNVL_VOCABULARY.chat_template,
    )
    return InternVLForConditionalGeneration(config), processor


def build_llava_onevision(
    tokenizer: PreTrainedTokenizerFast, width: int, layers: int
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """LLaVA-OneVision with 64 tokens for the whole picture and more for up to four tiles."""
    pinpoints = [[64, 64], [64, 128], [128, 64], [128, 128]]
    config = LlavaOnevisionConfig(
        vision_config={
            "model_type": "siglip_vision_model", "hidden_size": 64, "intermediate_size": 128,
            "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 64, "patch_size": 8,
            "vision_use_head": False,
        },
        text_config=_llama(tokenizer, width, layers, "qwen2"),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=pinpoints,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        vision_aspect_ratio="anyres_max_9",
        tie_word_embeddings=True,
    )  # fmt: skip
    processor = LlavaOnevisionProcessor(
        LlavaOnevisionImageProcessor(
            size={"height": 64, "width": 64}, image_grid_pinpoints=pinpoints, image_mean=[0.5] * 3, image_std=[0.5] * 3
        ),
        tokenizer,
        LlavaOnevisionVideoProcessor(size={"height": 64, "width": 64}),
        num_image_tokens=64,
        vision_feature_select_strategy="full",
        chat_template=LLAVA_VOCABULARY.chat_template,
    )
    return LlavaOnevisionForConditionalGeneration(config), processor
