"""The border between prompt and answer, with templates as they are published."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from instruct_mner.errors import ModelError
from instruct_mner.models.chat_template import around_answer, continue_generation_prompt
from instruct_mner.models.description import describe_model
from instruct_mner.models.text_processor import leaves_thoughts_out, steady_template
from instruct_mner.prompting.conversation import answer_messages
from instruct_mner.testing import idefics, qwen
from instruct_mner.testing.newer import GEMMA4_VOCABULARY, GLM_VOCABULARY, QWEN3_5_VOCABULARY
from instruct_mner.testing.others import GEMMA_VOCABULARY, LLAVA_VOCABULARY
from instruct_mner.testing.tokenizer import Vocabulary, train_tokenizer

TRL = find_spec("trl")
assert TRL is not None
assert TRL.origin is not None
SHIPPED = Path(TRL.origin).parent / "chat_templates"
VOCABULARIES = {
    **dict.fromkeys(("idefics3", "smolvlm"), idefics.VOCABULARY),
    **dict.fromkeys(("qwen2_vl", "qwen2_5_vl", "qwen3_vl"), qwen.VOCABULARY),
    "gemma3": GEMMA_VOCABULARY,
    "gemma4": GEMMA4_VOCABULARY,
    "qwen3_5": QWEN3_5_VOCABULARY,
}
# Family, the file that TRL ships, and what stands before and after an answer.
PUBLISHED = {
    "idefics3": ("idefics3", " ", "<end_of_utterance>\n"),
    "smolvlm": ("smolvlm", " ", "<end_of_utterance>\n"),
    "qwen2_5_vl": ("qwen2_5_vl", "", "<|im_end|>\n"),
    "qwen3_vl": ("qwen3_vl", "", "<|im_end|>\n"),
    "gemma3": ("gemma3", "", "<end_of_turn>\n"),
    "qwen3_5": ("qwen3_5_nothink", "", "<|im_end|>\n"),
    **{
        f"gemma4-{name}": (name, "", "<turn|>\n")
        for name in ("gemma4", "gemma4_v2", "gemma4_v3", "gemma4_v4", "gemma4_v5")
    },
}


def rendered(processor, messages, **arguments: object) -> str:
    return processor.apply_chat_template(messages, tokenize=False, **arguments)


def messages(num_pictures: int = 1) -> list[dict]:
    parts = [{"type": "text", "text": "Name the entities."}]
    parts += [{"type": "image"}] * num_pictures
    return [{"role": "user", "content": [*parts, {"type": "text", "text": "Post: Ann [1, 2] met Bob"}]}]


@pytest.mark.parametrize("family", PUBLISHED)
def test_published_templates_continue_their_generation_prompt(family: str) -> None:
    name, before, after = PUBLISHED[family]
    tokenizer = train_tokenizer(VOCABULARIES[family.split("-", maxsplit=1)[0]], ["Name the entities."], 300)
    tokenizer.chat_template = own = (SHIPPED / f"{name}.jinja").read_text(encoding="utf-8")
    continue_generation_prompt(tokenizer)
    assert tokenizer.chat_template == own
    assert around_answer(tokenizer) == (before, after)
    prompt = rendered(tokenizer, messages(), add_generation_prompt=True)
    whole = rendered(tokenizer, [*messages(), *answer_messages("PER: Ann")])
    assert whole == f"{prompt}{before}PER: Ann{after}"
    assert prompt.count("Post: Ann [1, 2] met Bob") == 1


def test_an_answer_of_llava_onevision_stands_behind_its_generation_prompt(tiny_models) -> None:
    path = tiny_models("llava_onevision")
    description = describe_model(str(path))
    assert (description.answer_prefix, description.answer_suffix) == ("", "<|im_end|>")
    asked = rendered(description.processor, messages(2), add_generation_prompt=True)
    assert asked == (
        "<|im_start|>user <image><image>\nName the entities.\nPost: Ann [1, 2] met Bob<|im_end|><|im_start|>assistant\n"
    )
    whole = rendered(description.processor, [*messages(2), *answer_messages("PER: Ann")])
    assert whole == f"{asked}PER: Ann<|im_end|>"
    turns = [*messages(), {"role": "assistant", "content": [{"type": "text", "text": "none"}]}, *messages(0)]
    assert rendered(description.processor, turns, add_generation_prompt=True) == published(turns, True)
    assert rendered(description.processor, turns) == published(turns, False)


def published(turns: list[dict], add_generation_prompt: bool) -> str:
    tokenizer = train_tokenizer(LLAVA_VOCABULARY, ["Name the entities."], 300)
    tokenizer.chat_template = LLAVA_VOCABULARY.chat_template
    return tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=add_generation_prompt)


def test_the_changed_template_comes_back_from_the_folder_of_an_adapter(tiny_models, tmp_path) -> None:
    processor = describe_model(str(tiny_models("llava_onevision"))).processor
    processor.save_pretrained(tmp_path)
    changed = processor.chat_template
    again = type(processor).from_pretrained(tmp_path)
    continue_generation_prompt(again)
    assert again.chat_template == changed
    assert around_answer(again) == ("", "<|im_end|>")


def test_an_answer_of_glm_ends_with_the_token_that_begins_the_next_turn() -> None:
    tokenizer = train_tokenizer(GLM_VOCABULARY, ["Name the entities."], 300)
    tokenizer.chat_template = steady_template(GLM_VOCABULARY.chat_template)
    published = rendered(tokenizer, [*messages(), *answer_messages("PER: Ann"), *messages(0)])
    continue_generation_prompt(tokenizer)
    assert around_answer(tokenizer) == ("\n", "<|user|>")
    prompt = rendered(tokenizer, messages(), add_generation_prompt=True)
    assert prompt.endswith("/nothink<|assistant|>\n<think></think>")
    assert rendered(tokenizer, [*messages(), *answer_messages("PER: Ann")]) == f"{prompt}\nPER: Ann<|user|>"
    assert rendered(tokenizer, [*messages(), *answer_messages("PER: Ann"), *messages(0)]) == published


@pytest.mark.parametrize("name", ["qwen3_5_think", "qwen3_5_nothink", "qwen3_6"])
def test_no_place_for_thoughts_is_left_to_an_answer(name: str) -> None:
    """Qwen3.5 from 4B on thinks by default: its generation prompt would open a thought, and answers would close it."""
    tokenizer = train_tokenizer(QWEN3_5_VOCABULARY, ["Name the entities."], 300)
    own = (SHIPPED / f"{name}.jinja").read_text(encoding="utf-8")
    tokenizer.chat_template = steady_template(own)
    assert leaves_thoughts_out(tokenizer.chat_template)
    assert around_answer(tokenizer) == ("", "<|im_end|>\n")
    prompt = rendered(tokenizer, messages(), add_generation_prompt=True)
    assert prompt.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert prompt.count("<|vision_start|><|image_pad|><|vision_end|>") == 1


def test_a_template_that_shows_no_answer_is_refused() -> None:
    words = Vocabulary(
        special_tokens=("<pad>", "<end>"),
        end_of_turn="<end>",
        chat_template="{% for message in messages %}{{ message['role'] }}{% endfor %}",
    )
    tokenizer = train_tokenizer(words, ["a"], 300)
    tokenizer.chat_template = words.chat_template
    continue_generation_prompt(tokenizer)
    with pytest.raises(ModelError, match="does not continue its own generation prompt"):
        around_answer(tokenizer)


_SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
# Tiny model, the published template, and what only that one writes before the first turn.
TINY = {
    "idefics3": ("smolvlm", ""),
    "smolvlm": ("smolvlm", ""),
    "qwen2_vl": ("qwen2_5_vl", _SYSTEM),
    "qwen2_5_vl": ("qwen2_5_vl", _SYSTEM),
    "qwen3_vl": ("qwen3_vl", ""),
    "gemma3": ("gemma3", ""),
}


@pytest.mark.parametrize("family", TINY)
def test_tiny_models_write_what_the_published_templates_write(family: str) -> None:
    name, first = TINY[family]
    shipped = (SHIPPED / f"{name}.jinja").read_text(encoding="utf-8")
    turns = [*messages(2), *answer_messages("PER: Ann"), *messages(0), *answer_messages("none")]
    tokenizer = train_tokenizer(VOCABULARIES[family], ["Name the entities."], 300)
    tokenizer.chat_template = VOCABULARIES[family].chat_template
    for own, prompted in ((turns, False), (turns[:1], True), (turns[:3], True)):
        ours = rendered(tokenizer, own, add_generation_prompt=prompted)
        theirs = rendered(tokenizer, own, add_generation_prompt=prompted, chat_template=shipped, bos_token="<bos>")
        assert theirs.startswith(first)
        assert ours == theirs.removeprefix(first)
