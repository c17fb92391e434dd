"""Tiny text models: SmolLM2 (Llama), Qwen2.5, Qwen3, SmolLM3, Gemma 3 and Mistral."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast, ProcessorMixin

from instruct_mner.models.text_processor import TextProcessor
from instruct_mner.testing.tokenizer import Vocabulary


def shipped_template(name: str) -> str:
    """Read a chat template that TRL ships as its models have it."""
    package = find_spec("trl")
    assert package is not None
    assert package.submodule_search_locations
    path = Path(package.submodule_search_locations[0]) / "chat_templates" / f"{name}.jinja"
    return path.read_text(encoding="utf-8")


_CHATML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
VOCABULARIES = {
    "llama": Vocabulary(
        special_tokens=_CHATML,
        end_of_turn="<|im_end|>",
        # Source: tokenizer_config.json of SmolLM2-135M-Instruct; content must be a string.
        chat_template=(
            "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
            "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face' }}"
            "{{ '<|im_end|>\n' }}{% endif %}"
            "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
            "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
        ),
    ),
    "qwen2": Vocabulary(special_tokens=_CHATML, end_of_turn="<|im_end|>", chat_template=shipped_template("qwen2_5")),
    "qwen3": Vocabulary(
        special_tokens=_CHATML,
        end_of_turn="<|im_end|>",
        chat_template=shipped_template("qwen3"),
        added=("<think>", "</think>"),
    ),
    "smollm3": Vocabulary(
        special_tokens=("<|end_of_text|>", "<|im_start|>", "<|im_end|>"),
        end_of_turn="<|im_end|>",
        # Source: chat_template.jinja of SmolLM3-3B, without tools and reasoning: the day stands in the prompt.
        chat_template=(
            "{{ '<|im_start|>system\n## Metadata\n\nKnowledge Cutoff Date: June 2025\n' }}"
            '{%- set today = strftime_now("%d %B %Y") -%}'
            "{{ 'Today Date: ' ~ today ~ '\n\n<|im_end|>\n' }}"
            "{%- for message in messages -%}{%- set content = message.content if message.content is string else '' -%}"
            "{{ '<|im_start|>' + message.role + '\n' + content + '<|im_end|>\n' }}{%- endfor -%}"
            "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"
        ),
    ),
    "gemma3_text": Vocabulary(
        special_tokens=("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"),
        end_of_turn="<end_of_turn>",
        chat_template=shipped_template("gemma3"),
        named={"bos_token": "<bos>"},
    ),
    "mistral": Vocabulary(
        special_tokens=("<unk>", "<s>", "</s>", "[INST]", "[/INST]"),
        end_of_turn="</s>",
        # Source: tokenizer_config.json of Mistral-7B-Instruct-v0.3, without tools.
        chat_template=(
            "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
            "{{ '[INST] ' + message['content'] + '[/INST]' }}{% else %}"
            "{{ ' ' + message['content'] | trim + eos_token }}{% endif %}{% endfor %}"
        ),
        named={"bos_token": "<s>"},
    ),
}  # fmt: skip


def build_text(
    family: str, tokenizer: PreTrainedTokenizerFast, width: int, layers: int
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """Build a text model of a family, with its tokenizer as a processor."""
    more: dict[str, Any] = {}
    if family == "gemma3_text":
        more = {"query_pre_attn_scalar": width // 4, "sliding_window": 512}
    if family == "mistral":
        more = {"sliding_window": None}
    tokenizer.chat_template = VOCABULARIES[family].chat_template
    bos = VOCABULARIES[family].named.get("bos_token")
    if bos is not None:
        tokenizer.bos_token = bos
    config = AutoConfig.for_model(
        family,
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=width // 4,
        max_position_embeddings=8192,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
        **more,
    )
    return AutoModelForCausalLM.from_config(config), TextProcessor(tokenizer)
