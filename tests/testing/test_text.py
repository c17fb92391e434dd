"""Tiny text models: the chats of their templates, and a forward of each."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from instruct_mner.models.text_processor import TextProcessor
from instruct_mner.testing.text import VOCABULARIES, build_text
from instruct_mner.testing.tokenizer import train_tokenizer

CHAT = [{"role": "user", "content": "Post: a"}, {"role": "assistant", "content": "none"}]
CHATML = "<|im_start|>user\nPost: a<|im_end|>\n<|im_start|>assistant\n"
# The beginning of each chat up to the answer, as the models of the hub have it.
CHATS = {
    "llama": "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
    + CHATML,
    "qwen2": "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
    + CHATML,
    "qwen3": CHATML,
    "gemma3_text": "<bos><start_of_turn>user\nPost: a<end_of_turn>\n<start_of_turn>model\n",
    "mistral": "<s>[INST] Post: a[/INST]",
}


def built(family: str) -> tuple[Any, TextProcessor]:
    tokenizer = train_tokenizer(VOCABULARIES[family], ["Post: a", "none"], 300)
    model, processor = build_text(family, tokenizer, 32, 1)
    return model, processor


def test_every_family_is_checked() -> None:
    assert CHATS.keys() | {"smollm3"} == VOCABULARIES.keys()


@pytest.mark.parametrize("family", CHATS)
def test_a_chat_is_that_of_the_family(family: str) -> None:
    _, processor = built(family)
    tokenizer = processor.tokenizer
    chat = tokenizer.apply_chat_template(CHAT[:1], tokenize=False, add_generation_prompt=True)
    assert chat.startswith(CHATS[family])
    whole = tokenizer.apply_chat_template(CHAT, tokenize=False)
    assert whole.rstrip().endswith(f"none{VOCABULARIES[family].end_of_turn}")


def test_the_day_in_the_prompt_of_smollm3_is_always_the_same() -> None:
    _, processor = built("smollm3")
    assert processor.changed
    chat = processor.tokenizer.apply_chat_template(CHAT[:1], tokenize=False, add_generation_prompt=True)
    assert "Today Date: 26 Jul 2024" in chat
    assert chat.endswith(CHATML)


@pytest.mark.parametrize("family", VOCABULARIES)
def test_a_model_has_the_shape_that_is_wanted_and_a_causal_decoder(family: str) -> None:
    torch.manual_seed(0)
    model, processor = built(family)
    config = model.config
    assert (config.hidden_size, config.num_hidden_layers, config.head_dim) == (32, 1, 8)
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert config.eos_token_id == processor.tokenizer.convert_tokens_to_ids(VOCABULARIES[family].end_of_turn)
    ids = torch.tensor([[20, 21, 22, 23]])
    changed = torch.tensor([[20, 21, 22, 40]])
    with torch.no_grad():
        one, other = model.eval()(ids).logits, model(changed).logits
    assert one.shape == (1, 4, len(processor.tokenizer))
    torch.testing.assert_close(one[:, :3], other[:, :3])
    assert not torch.allclose(one[:, 3], other[:, 3])
