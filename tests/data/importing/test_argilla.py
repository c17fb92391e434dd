"""Records of Argilla: responses, suggestions and offsets behind emojis."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from instruct_mner.data.exporting.argilla import GOLD_AGENT
from instruct_mner.data.importing.argilla import of_record

TEXT = "Anna met Eve in Oslo"
ANNA = {"label": "PER", "start": 0, "end": 4}


def record(
    *responses: list[dict[str, Any]], text: str = TEXT, status: str = "completed", **more: Any
) -> dict[str, Any]:
    users = [{"value": spans, "user_id": f"u{number}"} for number, spans in enumerate(responses)]
    return {
        "id": "7", "fields": {"text": text}, "metadata": {}, "suggestions": {}, "vectors": {}, "status": status,
        "responses": {"entities": users} if users else {}, "_server_id": "s", **more,
    }  # fmt: skip


def marks(
    made: dict[str, Any], left_out: Counter[str] | None = None
) -> list[tuple[int | None, int | None, str]] | None:
    post = of_record(made, "f:1", Counter() if left_out is None else left_out)
    return None if post.marks is None else [(mark.start, mark.end, mark.label) for mark in post.marks]


def test_a_submitted_response_is_the_annotation() -> None:
    made = record([ANNA], fields={"text": TEXT, "image": "https://x.org/a.png", "lang": "en"}, metadata={"n": 3})
    post = of_record(made, "f:1", Counter())
    assert (post.id, post.text, post.images, post.meta) == ("7", TEXT, ("https://x.org/a.png",), {"lang": "en", "n": 3})
    assert marks(made) == [(0, 4, "PER")]
    assert marks(record([])) == []
    assert marks(record([ANNA], [dict(ANNA)])) == [(0, 4, "PER")]


def test_a_picture_is_named_or_is_its_bytes() -> None:
    fields = {"text": TEXT, "image": "data:image/png;base64,AAAA"}
    assert of_record(record([ANNA], fields=fields), "f:1", Counter()).images == (fields["image"],)
    named = record([ANNA], fields=fields, metadata={"images": ["7.png"]})
    assert of_record(named, "f:1", Counter()).images == ("7.png",)


def test_what_is_no_annotation_is_counted() -> None:
    left_out: Counter[str] = Counter()
    suggestion = {"entities": {"value": [ANNA], "score": [0.9], "agent": "a model"}}
    assert marks(record(suggestions=suggestion), left_out) is None
    assert marks(record([ANNA], status="pending"), left_out) is None
    assert marks(record([ANNA], responses={"quality": [{"value": "good"}]}), left_out) is None
    assert +left_out == {
        "record(s) with suggestions of a model, which are no annotations": 1,
        "record(s) with a response that is not submitted": 1,
        "answer(s) to other questions": 1,
    }


def test_gold_that_nobody_answered_stays_gold_and_pictures_keep_their_names() -> None:
    suggestion = {"entities": {"value": [ANNA], "score": None, "agent": GOLD_AGENT}}
    fields = {"text": TEXT, "image": "data:image/png;base64,AAAA"}
    made = record(suggestions=suggestion, fields=fields, status="pending", metadata={"images": ["a.png"]})
    assert marks(made) == [(0, 4, "PER")]
    assert of_record(made, "f:1", Counter()).images == ("a.png",)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (6, 10, (6, 10)),  # characters
        (7, 11, (6, 10)),  # UTF-16 units, as the page counts: one more behind the rocket
        (0, 4, (0, 4)),
    ],
)
def test_behind_an_emoji_the_words_tell_the_unit(start: int, end: int, expected: tuple[int, int]) -> None:
    span = {"label": "PER", "start": start, "end": end}
    assert marks(record([span], text="Hugh🚀 Anna left")) == [(*expected, "PER")]


def test_offsets_that_can_be_read_in_two_ways_are_refused() -> None:
    span = {"label": "PER", "start": 2, "end": 3}
    with pytest.raises(ValueError, match=r"2 to 3, behind an emoji, read as 'a' \(characters\) or '王' \(utf-16\)"):
        marks(record([span], text="🚀王a 王"))
    accepted = {"entities": {"value": [span], "score": [0.9], "agent": "a model"}}
    assert marks(record([span], text="🚀王a 王", suggestions=accepted)) == [(2, 3, "PER")]


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (record([ANNA], []), "2 responses that differ"),
        (record([ANNA], fields={"a": "x", "b": "y"}), "which field is the text"),
        (record(responses={"a": [{"value": [ANNA]}], "b": [{"value": [ANNA]}]}), "which of the span questions a, b"),
    ],
)
def test_what_nobody_can_tell_is_refused(made: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        marks(made)
