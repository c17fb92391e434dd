"""Turns of conversations, of any spelling."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from instruct_mner.data.importing.chat_turns import turns_of


def parts(*content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(content)}]}


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ({"type": "image", "image": "7.jpg"}, "<img>7.jpg</img>"),
        ({"type": "image", "url": "http://x/7.jpg"}, "<img>http://x/7.jpg</img>"),
        ({"type": "image", "path": "7.jpg"}, "<img>7.jpg</img>"),
        ({"type": "image_url", "image_url": {"url": "http://x/7.jpg", "detail": "low"}}, "<img>http://x/7.jpg</img>"),
        ({"type": "input_image", "image_url": "data:image/png;base64,AA"}, "<img>data:image/png;base64,AA</img>"),
        ({"type": "image", "source": {"type": "url", "url": "http://x/7.jpg"}}, "<img>http://x/7.jpg</img>"),
        ({"image": "7.jpg"}, "<img>7.jpg</img>"),
        ({"type": "image", "text": None}, "<image>"),
        ({"type": "text", "text": "b", "image": None}, "b"),
        ({"type": "output_text", "text": "b"}, "b"),
        ("b", "b"),
    ],
)
def test_pictures_among_the_parts_of_a_message_keep_their_place(part: Any, text: str) -> None:
    left_out: Counter[str] = Counter()
    turns, columns = turns_of(parts({"type": "text", "text": "a"}, part), left_out)
    assert (turns, columns, left_out) == ([("user", f"a{text}")], {"messages"}, {})


def test_other_parts_are_counted() -> None:
    left_out: Counter[str] = Counter()
    assert turns_of(parts({"type": "video", "video": "1.mp4"}), left_out)[0] == [("user", "")]
    assert left_out == {"part(s) of messages of the type 'video'": 1}


def test_spellings_of_roles() -> None:
    row = {
        "messages": None,
        "conversations": [{"from": who, "value": who} for who in ("human", "gpt", "Developer", "x")],
    }
    assert [who for who, _ in turns_of(row, Counter())[0]] == ["user", "assistant", "system", "x"]
    value = [{"text": "Bo", "label": "PER"}]
    assert turns_of({"query": "a", "response": value}, Counter())[0][1] == (
        "assistant", '[{"text": "Bo", "label": "PER"}]'
    )  # fmt: skip


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"messages": "[]"}, "'messages' is no list of messages but '"),
        ({"messages": [["user", "a"]]}, "'messages' is no list of messages but"),
        ({"messages": [], "conversations": []}, "messages in both 'messages' and 'conversations'; keep"),
        ({"query": "a", "history": ["a", "b"]}, "'history' is no list of questions and their answers"),
        (parts(7), "a part of a message is neither a text nor an object but '7'"),
        (parts({"type": "image", "source": {"type": "base64", "data": "AA"}}), "a picture is no name of a file"),
    ],
)
def test_what_are_no_messages(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        turns_of(row, Counter())
