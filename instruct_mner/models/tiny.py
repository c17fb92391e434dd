"""Tiny models of every family with random weights, for tests and for the demo.

They are stock architectures with stock processors, saved as any other model is, so that what runs on them is the
real loading, training, tagging and serving code. They know nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# Source: chat_template.json of SmolVLM-256M-Instruct.
_SMOLVLM_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}"
    "{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{ line['text'] }}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
# Source: chat_template.json of Qwen3-VL, without its tools, videos and picture numbers.
_QWEN_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}{{ '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_ROWS_AND_COLUMNS = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
_SPECIAL_TOKENS = {
    "idefics3": [
        "<|endoftext|>", "<|im_start|>", "<end_of_utterance>", "<fake_token_around_image>", "<image>",
        "<global-img>", *_ROWS_AND_COLUMNS,
    ],
    "qwen3_vl": [
        "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
        "<|video_pad|>",
    ],
}  # fmt: skip
_END_OF_TURN = {"idefics3": "<end_of_utterance>", "qwen3_vl": "<|im_end|>"}


def _tokenizer(family: str, texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=_SPECIAL_TOKENS[family],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=_END_OF_TURN[family],
        pad_token="<|endoftext|>",  # noqa: S106
        additional_special_tokens=_SPECIAL_TOKENS[family],
        clean_up_tokenization_spaces=False,
    )


def _idefics3(tokenizer: Any, width: int, layers: int) -> tuple[Any, Any]:
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessor,
        Idefics3Processor,
    )

    end, pad, image = tokenizer.convert_tokens_to_ids(["<end_of_utterance>", "<|endoftext|>", "<image>"])
    config = Idefics3Config(
        vision_config={
            "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
            "image_size": 64, "patch_size": 8,
        },
        text_config={
            "model_type": "llama", "vocab_size": len(tokenizer), "hidden_size": width,
            "intermediate_size": 2 * width, "num_hidden_layers": layers, "num_attention_heads": 4,
            "num_key_value_heads": 2, "max_position_embeddings": 8192, "pad_token_id": pad, "eos_token_id": end,
            "bos_token_id": tokenizer.convert_tokens_to_ids("<|im_start|>"),
        },
        scale_factor=2,
        image_token_id=image,
        pad_token_id=pad,
        tie_word_embeddings=True,
    )  # fmt: skip
    processor = Idefics3Processor(
        Idefics3ImageProcessor(size={"longest_edge": 128}, max_image_size={"longest_edge": 64}),
        tokenizer,
        image_seq_len=16,
        chat_template=_SMOLVLM_TEMPLATE,
    )
    return Idefics3ForConditionalGeneration(config), processor


def _qwen3_vl(tokenizer: Any, width: int, layers: int) -> tuple[Any, Any]:
    from transformers import (
        Qwen2VLImageProcessor,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    def token_id(token: str) -> int:
        return int(tokenizer.convert_tokens_to_ids(token))

    config = Qwen3VLConfig(
        vision_config={
            "hidden_size": 64, "intermediate_size": 128, "depth": 2, "num_heads": 4, "patch_size": 16,
            "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": width,
            "num_position_embeddings": 64, "deepstack_visual_indexes": [0],
        },
        text_config={
            "vocab_size": len(tokenizer), "hidden_size": width, "intermediate_size": 2 * width,
            "num_hidden_layers": layers, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": width // 4,
            "max_position_embeddings": 8192, "pad_token_id": token_id("<|endoftext|>"),
            "eos_token_id": token_id("<|im_end|>"), "bos_token_id": token_id("<|endoftext|>"),
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 10000.0, "mrope_interleaved": True,
                "mrope_section": [width // 8 - 2 * (width // 24), width // 24, width // 24],
            },
        },
        image_token_id=token_id("<|image_pad|>"),
        video_token_id=token_id("<|video_pad|>"),
        vision_start_token_id=token_id("<|vision_start|>"),
        vision_end_token_id=token_id("<|vision_end|>"),
        tie_word_embeddings=True,
    )  # fmt: skip
    size = {"shortest_edge": 64 * 64, "longest_edge": 128 * 128}
    processor = Qwen3VLProcessor(
        Qwen2VLImageProcessor(size=size, patch_size=16, image_mean=[0.5] * 3, image_std=[0.5] * 3),
        tokenizer,
        Qwen3VLVideoProcessor(),
        chat_template=_QWEN_TEMPLATE,
    )
    return Qwen3VLForConditionalGeneration(config), processor


_BUILDERS: dict[str, Callable[[Any, int, int], tuple[Any, Any]]] = {
    "idefics3": _idefics3,
    "qwen3_vl": _qwen3_vl,
}


def build_tiny(
    family: str,
    folder: Path,
    *,
    texts: Iterable[str],
    vocabulary: int = 600,
    width: int = 64,
    layers: int = 2,
    seed: int = 0,
) -> Path:
    """Makes a model with random weights and its processor, and saves both.

    Args:
        family: A key of ``FAMILIES``.
        folder: Where to save them.
        texts: What the byte-level BPE tokenizer is trained on.
        vocabulary: Its size.
        width: Width of the decoder, a multiple of 32.
        layers: Its number of layers.
        seed: Seed of the weights.
    """
    from transformers import set_seed

    set_seed(seed)
    model, processor = _BUILDERS[family](_tokenizer(family, texts, vocabulary), width, layers)
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
