"""Captions asked of an engine, which here only writes down what it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from PIL import Image

from instruct_mner.context.captions import INSTRUCTION, caption
from instruct_mner.engines.engine import Completion, Engine, Request


class Scripted:
    """An engine that gives the same texts to whatever it is asked, in their order."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts
        self.requests: list[Request] = []

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        self.requests = list(requests)
        return [Completion(text=text) for text, _ in zip(self.texts, requests, strict=True)]


PICTURES = [Image.new("RGB", (size, 4)) for size in (1, 2, 3)]


def test_a_caption_is_one_line_and_none_where_the_model_says_nothing() -> None:
    engine = Scripted(" A red\n\n square\u2003on\tsand. ", " \n", "")
    assert caption(PICTURES, cast("Engine", engine)) == ["A red square on sand.", None, None]


def test_a_caption_that_comes_to_no_end_is_none() -> None:
    class Rambling(Scripted):
        def generate(self, requests: Sequence[Request]) -> list[Completion]:
            return [Completion(text="A man in front of the", finished=False) for _ in requests]

    assert caption(PICTURES[:1], cast("Engine", Rambling())) == [None]


def test_each_picture_is_asked_about_alone() -> None:
    engine = Scripted("a", "b", "c")
    assert caption(PICTURES, cast("Engine", engine)) == ["a", "b", "c"]
    assert [request.images for request in engine.requests] == [(picture,) for picture in PICTURES]
    content = [{"type": "image"}, {"type": "text", "text": INSTRUCTION}]
    for request in engine.requests:
        assert request.messages == [{"role": "user", "content": content}]
        assert request.grammar is request.schema is None
        assert request.max_tokens == 256


def test_another_instruction_takes_the_place_of_ours() -> None:
    engine = Scripted("a")
    caption(PICTURES[:1], cast("Engine", engine), "Name the colours.")
    assert engine.requests[0].messages[0]["content"][-1]["text"] == "Name the colours."
    assert caption([], cast("Engine", Scripted())) == []
