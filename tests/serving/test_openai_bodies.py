"""Bodies of OpenAI's routes: what vLLM gets of them."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_bodies import chat_body, image_part, text_part
from pydantic import ValidationError

from instruct_mner.serving.openai_bodies import ChatBody, CompletionBody


def test_vllm_gets_what_was_sent_without_the_name_of_the_user() -> None:
    body = chat_body(text_part("a"), image_part("data:image/png;base64,eA=="), stop=["x"], top_p=0.5, logprobs=True)
    body["response_format"] = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    body["structured_outputs"] = {"json": {"type": "object"}}
    chat = ChatBody.model_validate({**body, "user": "u", "seed": None})
    assert chat.for_vllm() == body
    assert [message.texts for message in chat.messages] == [["a"]]
    assert [len(message.pictures) for message in chat.messages] == [1]
    completion = {"model": "m", "prompt": "a", "stop": "x", "logprobs": 0, "echo": False}
    assert CompletionBody.model_validate(completion).for_vllm() == completion


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 2.1},
        {"temperature": -0.1},
        {"temperature": True},
        {"top_p": 0},
        {"top_k": 1.5},
        {"max_tokens": 0},
        {"max_tokens": 2**70},
        {"n": 0},
        {"seed": 2**63},
        {"stop": []},
        {"stop": ["a"] * 5},
        {"stop": "a" * 257},
        {"stream": 1},
        {"stream_options": {"other": True}},
        {"top_logprobs": 21},
        {"logit_bias": {"1": 1}},
        {"response_format": {"type": "structural_tag"}},
        {"messages": [{"role": "tool", "content": "a"}]},
        {"messages": [{"role": "user", "content": None}]},
        {"messages": [{"role": "user", "content": []}]},
    ],
)
def test_what_is_not_taken(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ChatBody.model_validate({**chat_body(text_part("a")), **fields})
