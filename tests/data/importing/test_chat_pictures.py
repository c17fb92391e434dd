"""Pictures of conversations: of which post they are, and out of its text."""

from __future__ import annotations

from typing import Any

import pytest

from instruct_mner.data.importing.chat_pictures import pictures_of, without_places

ASK, ANSWER = ("user", "<image>Post: a"), ("assistant", "[]")


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        (" Bo left ", " Bo left "),
        ("<image>\nBo left", "Bo left"),
        ("Bo left <image>", "Bo left"),
        ("<image> <image>Bo left\n<video>\n", "Bo left"),
        ("Picture 1: <img>7.jpg</img>\nBo left\nPicture 2: <img>8.jpg</img>", "Bo left"),
        ("<image>", ""),
    ],
)
def test_places_of_pictures_are_no_text(text: str, bare: str) -> None:
    assert without_places(text) == bare


@pytest.mark.parametrize("text", ["Bo <image> left", "<image>Bo <img>7.jpg</img> left<image>"])
def test_a_place_within_the_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="stands within the text 'Bo <im"):
        without_places(text)


@pytest.mark.parametrize(
    ("row", "messages", "owners", "pictures"),
    [
        ({"images": ["1.jpg"]}, [ASK, ANSWER], [0], [("1.jpg",)]),
        ({"image": "1.jpg"}, [("user", "Post: a"), ANSWER], [0], [("1.jpg",)]),
        ({"images": None, "image": "1.jpg"}, [ASK, ANSWER], [0], [("1.jpg",)]),
        ({}, [("user", "<img>1.jpg</img>Post: a"), ANSWER], [0], [("1.jpg",)]),
        ({"images": ["1.jpg"]}, [("user", "<img>1.jpg</img>Post: a"), ANSWER], [0], [("1.jpg",)]),
        # The picture is seen by the only post of the conversation, wherever it stands.
        ({"images": ["1.jpg"]}, [("user", "<image>Hello"), ANSWER, ("user", "Post: a"), ANSWER], [2], [("1.jpg",)]),
        ({"images": ["1.jpg", "2.jpg"]}, [ASK, ANSWER, ASK, ANSWER], [0, 2], [("1.jpg",), ("2.jpg",)]),
        ({"images": ["1.jpg"]}, [("user", "Post: a"), ANSWER, ASK, ANSWER], [0, 2], [(), ("1.jpg",)]),
    ],
)
def test_pictures_of_posts(row: dict[str, Any], messages: Any, owners: list[int], pictures: Any) -> None:
    assert pictures_of(row, messages, owners) == pictures


@pytest.mark.parametrize(
    ("row", "messages", "owners", "reason"),
    [
        (
            {"images": ["1.jpg"]},
            [("user", "<image><image>Post: a"), ANSWER],
            [0],
            r"2 place\(s\) <image> and 1 picture",
        ),
        ({}, [ASK, ANSWER], [0], r"1 place\(s\) <image> and 0 picture\(s\) in 'images'; each place needs its picture"),
        ({"images": ["2.jpg"]}, [("user", "<img>1.jpg</img>Post: a")], [0], r"row \(2.jpg\) are not .* \(1.jpg\)"),
        ({"images": ["1.jpg"]}, [("user", "Post: a"), ANSWER] * 2, [0, 2], "has 2 posts, and of which of them its"),
        ({"images": ["1.jpg"]}, [("user", "<image>"), *[("user", "a"), ANSWER] * 2], [1, 3], "has 2 posts, and of whi"),
    ],
)
def test_pictures_that_are_of_no_place_or_post(
    row: dict[str, Any], messages: Any, owners: list[int], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        pictures_of(row, messages, owners)
