"""Answers without a thought in front and a fence around them."""

from __future__ import annotations

import pytest

from instruct_mner.data.importing.bare_answers import bare_answer


@pytest.mark.parametrize(
    ("answer", "bare"),
    [
        (" [] ", "[]"),
        ("<think>a</think>\n[]", "[]"),
        ("a</think>[]", "[]"),
        ("Here it is:\n```json\n[]\n```", "[]"),
        ("<think>a", None),
        ("I <think> so", "I <think> so"),
    ],
)
def test_thoughts_and_fences(answer: str, bare: str | None) -> None:
    assert bare_answer(answer) == bare
