"""Messages: one writer for all, whatever post it is given."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import instruct_mner
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.prompting.conversation import (
    PromptWriter,
    answer_messages,
    answer_text,
    instruction_text,
    post_text,
    user_messages,
)
from instruct_mner.prompting.templates import Prompt, find_prompt
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Context, Example

SPECIAL = ("<image>", "<|im_end|>")
SPEC = AnswerSpec(labels=LabelSet.of(["PER", "LOC"]))
PIECES = st.one_of(st.sampled_from((*SPECIAL, "\n", "Ann", "Post: ")), st.text(max_size=6))
TEXTS = st.lists(PIECES).map("".join).filter(bool)


def writer(*, context: bool = False, prompt: Prompt | None = None) -> PromptWriter:
    return PromptWriter(
        prompt=prompt or find_prompt("tag"), special_tokens=SPECIAL, several_pictures=False, context=context
    )


@given(text=TEXTS, num_images=st.integers(0, 3), caption=st.none() | st.text(min_size=1, max_size=8))
def test_the_text_stands_where_it_is_said_to_begin(text: str, num_images: int, caption: str | None) -> None:
    example = Example(id="1", text=text, context=Context(caption=caption) if caption and caption.strip() else None)
    writes = writer(context=True)
    messages = writes.messages(example, num_images, SPEC)
    begin = writes.text_begins(example, num_images)
    assert begin is not None
    assert post_text(messages)[begin:] == writes.text(example)
    assert len(writes.text(example)) == len(text)
    assert not any(token in part.get("text", "") for part in messages[0]["content"] for token in SPECIAL)


def test_the_messages_are_instruction_pictures_post() -> None:
    [message] = user_messages(find_prompt("tag"), SPEC, "Ann", 2)
    assert message["role"] == "user"
    assert [part["type"] for part in message["content"]] == ["text", "image", "image", "text"]
    assert "PER" in instruction_text([message])
    assert post_text([message]) == "\nPost: Ann"
    assert answer_text(answer_messages("PER: Ann")) == "PER: Ann"


@pytest.mark.parametrize("context", [False, True])
def test_context_is_written_only_where_the_run_has_it(context: bool) -> None:
    example = Example(id="1", text="Ann", context=Context(caption="a <image>"))
    written = post_text(writer(context=context).messages(example, 1, SPEC))
    assert ("Picture: a ‹image>" in written) == context


def test_a_template_without_the_text_has_no_place_for_it() -> None:
    prompt = Prompt(name="mine", source="{% block instruction %}a{% endblock %}{% block post %}b{% endblock %}")
    assert writer(prompt=prompt).text_begins(Example(id="1", text="Ann"), 0) is None


def test_no_other_module_makes_messages() -> None:
    """A chat of our own is made in one place; what goes over HTTP to a server is OpenAI's format."""
    package = Path(instruct_mner.__file__).parent
    makers = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if re.search(r'"role": "|"type": "image"', path.read_text(encoding="utf-8"))
    }
    # The chats that other tools export are read, not made.
    makers -= {"data/importing/chat.py", "scoring/other_predictions.py"}
    assert {name for name in makers if not name.startswith("serving/")} == {"prompting/conversation.py"}
