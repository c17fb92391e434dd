"""Conversations: where the text stands, and entities in the answers."""

from __future__ import annotations

from typing import Any

import pytest

from instruct_mner.data.importing.chat import of_chat
from instruct_mner.data.importing.posts import Mark

ANSWER = '[{"text": "Anna", "label": "PER"}]'
MARKS = (Mark(start=None, end=None, surface="Anna", label="PER"),)


def messages(content: Any, answer: Any = ANSWER) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}, {"role": "assistant", "content": answer}]}


@pytest.mark.parametrize(
    "row",
    [
        messages("<image>Types: PER. Post: Anna left "),
        messages([{"type": "image"}, {"type": "text", "text": "Post: Anna left"}]),
        messages("Post: Bob stayed. Post: Anna left", [{"type": "text", "text": ANSWER}]),
        {"conversations": [{"from": "human", "value": "Post: Anna left"}, {"from": "gpt", "value": ANSWER}]},
        {"query": "Post: Anna left", "response": ANSWER},
        {"instruction": "Name the entities.", "input": "Post: Anna left", "output": ANSWER},
    ],
    ids=["messages", "parts", "last-mark", "conversations", "query", "instruction"],
)
def test_the_text_stands_behind_the_words_that_the_user_says(row: dict[str, Any]) -> None:
    post = of_chat({**row, "id": 7, "images": ["a/7.jpg"]}, "f:1", "Post: ")
    assert (post.text, post.marks, post.id, post.images) == ("Anna left", MARKS, 7, ("a/7.jpg",))


def test_an_instruction_with_an_input_needs_no_words() -> None:
    post = of_chat({"instruction": "Name them.", "input": "Anna left", "output": ANSWER}, "f:1", None)
    assert (post.text, post.marks) == ("Anna left", MARKS)


def test_the_questions_of_universal_ner_are_known() -> None:
    turns = [
        ("human", "Text: Anna and Bob"), ("gpt", "I've read this text."),
        ("human", "What describes PER in the text?"), ("gpt", '["Anna", "Bob"]'),
        ("human", "What describes LOC in the text?"), ("gpt", "[]"),
    ]  # fmt: skip
    row = {"conversations": [{"from": who, "value": message} for who, message in turns]}
    post = of_chat(row, "f:1", None)
    assert post.text == "Anna and Bob"
    assert [(mark.surface, mark.label) for mark in post.marks or ()] == [("Anna", "PER"), ("Bob", "PER")]


@pytest.mark.parametrize(
    ("row", "text_after", "reason"),
    [
        (messages("Anna left"), None, "where in this conversation the text stands nobody can tell"),
        (messages("Anna left"), "Post: ", "no message of the user holds 'Post: '"),
        (messages("Post: Anna left", "Anna"), "Post: ", "the answer 'Anna' is no JSON list of entities"),
        (messages("Post: Anna left", '{"text": "Anna"}'), "Post: ", "is no JSON list of entities"),
        (messages("Post: Anna left", None), "Post: ", "the answer '' is no JSON list of entities"),
    ],
)
def test_what_cannot_be_read_is_said(row: dict[str, Any], text_after: str | None, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        of_chat(row, "f:1", text_after)
