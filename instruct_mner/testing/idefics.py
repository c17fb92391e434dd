"""Tiny Idefics3 (SmolVLM) and SmolVLM2."""

from __future__ import annotations

from typing import Any

from transformers import (
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessor,
    Idefics3Processor,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ProcessorMixin,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    SmolVLMImageProcessor,
    SmolVLMProcessor,
    SmolVLMVideoProcessor,
)

from instruct_mner.testing.tokenizer import Vocabulary

VOCABULARY = Vocabulary(
    special_tokens=(
        "<|endoftext|>", "<|im_start|>", "<end_of_utterance>", "<fake_token_around_image>", "<image>", "<video>",
        "<global-img>", *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
    ),
    end_of_turn="<end_of_utterance>",
    # Source: chat_template.json of SmolVLM-256M-Instruct; SmolVLM2's differs only in videos.
    chat_template=(
        "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}"
        "{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}"
        "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{ line['text'] }}"
        "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
        "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
    ),
)  # fmt: skip
_VISION = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "image_size": 64, "patch_size": 8,
}  # fmt: skip
_SIZES = {"size": {"longest_edge": 128}, "max_image_size": {"longest_edge": 64}}


def settings(tokenizer: PreTrainedTokenizerFast, width: int, layers: int) -> dict[str, Any]:
    """Return the config of Idefics3 and SmolVLM, for a tokenizer of this vocabulary."""
    start, pad, end, image = tokenizer.convert_tokens_to_ids(
        ["<|im_start|>", "<|endoftext|>", "<end_of_utterance>", "<image>"]
    )
    text = {
        "model_type": "llama", "vocab_size": len(tokenizer), "hidden_size": width, "intermediate_size": 2 * width,
        "num_hidden_layers": layers, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 8192, "bos_token_id": start, "eos_token_id": end, "pad_token_id": pad,
    }  # fmt: skip
    return {
        "vision_config": _VISION, "text_config": text, "scale_factor": 2, "image_token_id": image,
        "pad_token_id": pad, "tie_word_embeddings": True,
    }  # fmt: skip


def build_idefics3(
    tokenizer: PreTrainedTokenizerFast, width: int, layers: int
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """Idefics3 with 16 image tokens a tile."""
    config = Idefics3Config(**settings(tokenizer, width, layers))
    processor = Idefics3Processor(
        Idefics3ImageProcessor(**_SIZES), tokenizer, image_seq_len=16, chat_template=VOCABULARY.chat_template
    )
    return Idefics3ForConditionalGeneration(config), processor


def build_smolvlm(
    tokenizer: PreTrainedTokenizerFast, width: int, layers: int
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """SmolVLM2 with 16 image tokens a tile."""
    config = SmolVLMConfig(**settings(tokenizer, width, layers))
    processor = SmolVLMProcessor(
        SmolVLMImageProcessor(**_SIZES),
        tokenizer,
        SmolVLMVideoProcessor(**_SIZES),
        image_seq_len=16,
        chat_template=VOCABULARY.chat_template,
    )
    return SmolVLMForConditionalGeneration(config), processor
