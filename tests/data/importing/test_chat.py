"""Conversations: where the text stands, and entities in the answers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from instruct_mner.data.importing.chat import of_chat
from instruct_mner.data.importing.posts import Mark, RawPost

POST = "Post: "
ANSWER = '[{"text": "Anna", "label": "PER"}]'
MARKS = (Mark(start=None, end=None, surface="Anna", label="PER"),)


def read(row: dict[str, Any], text_after: str | None = POST) -> list[RawPost]:
    return of_chat(row, "f:1", text_after, Counter())


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def messages(content: Any, answer: Any = ANSWER) -> dict[str, Any]:
    return {"messages": [user(content), assistant(answer)]}


@pytest.mark.parametrize(
    "row",
    [
        messages("<image>Types: PER. Post: Anna left "),
        messages([{"type": "image"}, {"type": "text", "text": "Post: Anna left"}]),
        messages("Post: Anna left", [{"type": "text", "text": ANSWER}]),
        {"conversations": [{"from": "human", "value": "Post: Anna left"}, {"from": "gpt", "value": ANSWER}]},
        {"query": "Post: Anna left", "response": ANSWER},
        {"instruction": "Name the entities.", "input": "Post: Anna left", "output": ANSWER},
    ],
    ids=["messages", "parts", "answer-in-parts", "conversations", "query", "instruction"],
)
def test_the_text_stands_behind_the_words_that_the_user_says(row: dict[str, Any]) -> None:
    [post] = read({**row, "id": 7, "images": ["a/7.jpg"]})
    assert (post.text, post.marks, post.id, post.images) == ("Anna left", MARKS, 7, ("a/7.jpg",))


def test_an_instruction_with_an_input_needs_no_words() -> None:
    [post] = read({"instruction": "Name them.", "input": "Anna left", "output": ANSWER}, None)
    assert (post.text, post.marks) == ("Anna left", MARKS)


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [{"role": "system", "content": "Name them."}, user("<image>Anna left"), assistant(ANSWER)]},
        {"query": "Anna left", "response": ANSWER},
        {"instruction": "Name them.", "input": "Anna left", "output": ANSWER},
    ],
    ids=["messages", "query", "input"],
)
def test_empty_words_say_that_the_message_is_the_text(row: dict[str, Any]) -> None:
    [post] = read({**row, "images": ["7.jpg"]}, "")
    assert (post.text, post.marks) == ("Anna left", MARKS)


def test_the_questions_of_universal_ner_are_known() -> None:
    turns = [
        ("human", "Text: Anna and Bob"), ("gpt", "I've read this text."),
        ("human", "What describes PER in the text?"), ("gpt", '["Anna", "Bob"]'),
        ("human", "What describes LOC in the text?"), ("gpt", "[]"),
    ]  # fmt: skip
    row = {"conversations": [{"from": who, "value": message} for who, message in turns]}
    [post] = read(row, None)
    assert post.text == "Anna and Bob"
    assert [(mark.surface, mark.label) for mark in post.marks or ()] == [("Anna", "PER"), ("Bob", "PER")]


@pytest.mark.parametrize(
    ("row", "text_after", "reason"),
    [
        (messages("Anna left"), None, "where in this conversation the text stands nobody can tell"),
        (messages("Anna left"), "Post: ", "no message of the user holds 'Post: '"),
        ({"messages": [assistant(ANSWER)]}, "", "no message of the user; say what stands before"),
        (messages("Post: Anna left", "Anna"), "Post: ", "the answer 'Anna' is no JSON list of entities"),
        (messages("Post: Anna left", '{"text": "Anna"}'), "Post: ", "is no JSON list of entities"),
        (messages("Post: Anna left", None), "Post: ", "the answer '' is no JSON list of entities"),
    ],
)
def test_what_cannot_be_read_is_said(row: dict[str, Any], text_after: str | None, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read(row, text_after)


AL, BO = '[{"text": "Al", "label": "PER"}]', '[{"text": "Bo", "label": "PER"}]'


def texts_and_mentions(posts: list[RawPost]) -> list[tuple[str | None, list[str | None]]]:
    return [(post.text, [mark.surface for mark in post.marks or ()]) for post in posts]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [user("Post: Al sat"), assistant(AL), user("Post: Bo left"), assistant(BO)]},
        {"query": "Post: Bo left", "response": BO, "history": [["Post: Al sat", AL]]},
        {"instruction": "Post: Bo left", "output": BO, "history": [["Post: Al sat", AL]]},
    ],
)
def test_each_message_that_is_answered_is_a_post(row: dict[str, Any]) -> None:
    posts = read({"id": 7, **row})
    assert texts_and_mentions(posts) == [("Al sat", ["Al"]), ("Bo left", ["Bo"])]
    assert [post.id for post in posts] == ["7-1", "7-2"]
    assert [post.id for post in read(row)] == [None, None]


def test_universal_ner_may_hold_several_texts() -> None:
    question, last = "What describes PER in the text?", {"from": "human", "value": "What describes LOC in the text?"}
    turns = [
        ("human", "Text: Al sat"), ("gpt", "I've read."), ("human", question), ("gpt", '["Al"]'),
        ("human", "Text: Bo left"), ("human", question), ("gpt", '["Bo"]'),
    ]  # fmt: skip
    row = {"conversations": [{"from": who, "value": message} for who, message in turns]}
    assert texts_and_mentions(read(row, None)) == [("Al sat", ["Al"]), ("Bo left", ["Bo"])]
    with pytest.raises(ValueError, match=r"LOC in the text\?' is not followed by an answer of the assistant"):
        read({"conversations": [*row["conversations"], last]}, None)
    unasked = [{"from": "human", "value": "Text: Di sat"}, {"from": "gpt", "value": "I've read."}]
    with pytest.raises(ValueError, match="no question follows the text 'Di sat'"):
        read({"conversations": [*row["conversations"], *unasked]}, None)
    with pytest.raises(ValueError, match="is no JSON list of texts"):
        read({"conversations": [*row["conversations"], last, {"from": "gpt", "value": '"Rome"'}]}, None)


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        (
            [user("Post: Bo left"), assistant(BO), user("Post: Bo left now")],
            "'Post: Bo left now' is not followed by an",
        ),
        ([user("Post: Bo left"), {"role": "tool", "content": BO}, assistant(BO)], "is not followed by an answer"),
        ([user("Post: Anna wrote Post: Bo left"), assistant(BO)], "holds 'Post: ' 2 times"),
        ([user("Post: Bo left"), assistant("<think>Bo, or")], "ends within <think>"),
        ([user("Post: Bo left"), assistant('{"PER": [["Bo", 0, 2]]}')], "the mentions of 'PER' are no list of texts"),
    ],
)
def test_text_and_answer_are_those_of_one_turn(turns: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read({"messages": turns})


def test_what_is_of_no_post_is_counted() -> None:
    left_out: Counter[str] = Counter()
    asked = [{"role": "system", "content": "Post: x"}, user("Hello"), assistant("Hi"), user("Post: Bo left")]
    turns = [*asked, {**assistant(BO), "loss": False}, {"role": "tool", "content": "[]"}]
    [post] = of_chat({"messages": turns, "videos": ["1.mp4"], "rejected_response": AL}, "f:1", POST, left_out)
    assert texts_and_mentions([post]) == [("Bo left", ["Bo"])]
    assert left_out == {
        "message(s) of 'user' that are of no post": 1, "message(s) of 'assistant' that are of no post": 1,
        "message(s) of 'tool' that are of no post": 1, "field(s) 'loss' of messages": 1, "field(s) 'videos'": 1,
        "field(s) 'rejected_response'": 1,
    }  # fmt: skip
    history: Counter[str] = Counter()
    row = {"instruction": "Find", "input": "Bo left", "output": BO, "history": [["Al sat", AL]]}
    assert len(of_chat(row, "f:1", None, history)) == 1
    assert set(history) == {f"message(s) of {who!r} that are of no post" for who in ("user", "assistant")}


@pytest.mark.parametrize(
    "answer", [f"```json\n{BO}\n```", f"<think>x</think>{BO}", f'{{"entities": {BO}}}', '{"PER": ["Bo"]}']
)
def test_answers_are_read_as_evaluate_reads_them(answer: str) -> None:
    assert texts_and_mentions(read(messages("Post: Bo left", answer))) == [("Bo left", ["Bo"])]


def test_other_columns_are_carried_along() -> None:
    row = {**messages("Post: Bo left", BO), "meta": {"lang": "en"}, "output": "x", "system": "s", "tools": "[]"}
    assert [post.meta for post in read(row)] == [{"lang": "en", "output": "x"}]


def test_boxes_in_a_conversation_of_several_posts_are_refused() -> None:
    turns = [user("Post: Al sat"), assistant(AL), user("Post: Bo left"), assistant(BO)]
    with pytest.raises(ValueError, match="of which of the 2 posts of the conversation its 'objects' are"):
        read({"messages": turns, "objects": {"ref": ["Al"], "bbox": [[10, 20, 60, 80]]}})
