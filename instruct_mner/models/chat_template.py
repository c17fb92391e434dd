"""Chat templates that write an answer otherwise than their own generation prompt begins it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from instruct_mner.errors import ModelError
from instruct_mner.prompting.conversation import answer_messages, picture_messages

if TYPE_CHECKING:
    from transformers import ProcessorMixin

_ANSWER = "ANSWER"
# The published template as a macro, so that it can be rendered without the last turn.
_CONTINUED = (
    "{{% macro published(messages, add_generation_prompt) %}}{template}{{% endmacro %}}"
    "{{% if not add_generation_prompt and messages[-1]['role'] == 'assistant' %}}"
    "{{{{ published(messages[:-1], true) }}}}{{{{ {prefix!r} }}}}"
    "{{% if messages[-1]['content'] is string %}}{{{{ messages[-1]['content'] }}}}{{% else %}}"
    "{{% for part in messages[-1]['content'] %}}{{% if part['type'] == 'text' %}}{{{{ part['text'] }}}}{{% endif %}}"
    "{{% endfor %}}{{% endif %}}{{{{ {suffix!r} }}}}"
    "{{% else %}}{{{{ published(messages, add_generation_prompt) }}}}{{% endif %}}"
)


def around_answer(processor: ProcessorMixin) -> tuple[str, str]:
    """Return what the chat template puts between its generation prompt and an answer, and after the answer.

    SmolVLM's generation prompt is ``Assistant:`` and its answers begin with a space; most others begin at once.
    Training sees the prefix, so decoding must produce it.

    Raises:
        ModelError: The chat template does not continue its own generation prompt.
    """
    prompt, whole = _rendered(processor)
    if not whole.startswith(prompt) or _ANSWER not in whole[len(prompt) :]:
        raise ModelError("the chat template does not continue its own generation prompt; it cannot be trained on")
    before, _, after = whole[len(prompt) :].partition(_ANSWER)
    return before, after


def question_prompt(processor: ProcessorMixin) -> str:
    """Return the prompt of a short question, in which chat templates show how they differ."""
    return _rendered(processor)[0]


def continue_generation_prompt(processor: ProcessorMixin) -> None:
    """Change a chat template so that a last answer stands right behind the generation prompt, and ends.

    LLaVA-OneVision writes ``<|im_start|>assistant``, a space, a line break and the answer, but its generation prompt
    has no such space. Servers prompt with the latter, so training must too. GLM writes nothing behind an answer: its
    models end it with the token that begins the next turn. All other turns stay as they are.

    Source: chat_template.json of https://huggingface.co/llava-hf/llava-onevision-qwen2-0.5b-ov-hf (2026-11);
    ``glm4moe.jinja`` of TRL 1.16.

    Args:
        processor: Processor of a model; changed in place.
    """
    template = processor.chat_template
    if not isinstance(template, str):
        return
    prompt, whole = _rendered(processor)
    if _ANSWER not in whole:
        return
    prefix, suffix = "", whole.partition(_ANSWER)[2]
    if whole.startswith(prompt):
        prefix = whole[len(prompt) :].partition(_ANSWER)[0]
        if suffix.strip():
            return
    suffix = suffix if suffix.strip() else _beginning_of_turn(processor)
    processor.chat_template = _CONTINUED.format(template=template.removesuffix("\n"), prefix=prefix, suffix=suffix)


def _beginning_of_turn(processor: ProcessorMixin) -> str:
    """Return the special token that begins a turn after an answer; nothing where there is none."""
    question, answer = picture_messages(0, "?"), answer_messages(_ANSWER)
    whole = processor.apply_chat_template([*question, *answer, *question], tokenize=False)
    behind = str(whole).partition(_ANSWER)[2].lstrip()
    tokenizer = getattr(processor, "tokenizer", processor)
    special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    return next((token for token in special if behind.startswith(token)), "")


def _rendered(processor: ProcessorMixin) -> tuple[str, str]:
    """Return a question with the generation prompt, and the question with an answer."""
    question, answer = picture_messages(0, "?"), answer_messages(_ANSWER)
    prompt = processor.apply_chat_template(question, add_generation_prompt=True, tokenize=False)
    whole = processor.apply_chat_template([*question, *answer], tokenize=False)
    return str(prompt), str(whole)
