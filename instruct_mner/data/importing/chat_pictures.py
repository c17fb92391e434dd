"""Pictures of conversations: their places in the messages, and the post that each belongs to.

A conversation with one post gives it all of its pictures; of several posts each has those of its own message.

Source: https://github.com/hiyouga/LLaMA-Factory/tree/main/data (a ``<image>`` for each of the row's ``images``),
https://github.com/QwenLM/Qwen-VL (``Picture 1: <img>7.jpg</img>``)
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from instruct_mner.data.importing.chat_turns import IMAGE, Turn
from instruct_mner.data.importing.generic import to_names

_PLACE = re.compile(r"<image>|<(?P<other>video|audio)>|(?:Picture \d+: *)?<img>(?P<name>[^<]*)</img>")


def without_places(text: str) -> str:
    """Return a text without the places of pictures before and behind it, nor the blanks beside them.

    Raises:
        ValueError: One stands within the text.
    """
    places = list(_PLACE.finditer(text))
    start, end = 0, len(text)
    for place in places:
        if not text[start : place.start()].strip():
            start = place.end()
    for place in reversed(places):
        if place.start() >= start and not text[place.end() : end].strip():
            end = place.start()
    piece = text[start:end]
    piece = piece.lstrip() if start else piece
    piece = piece.rstrip() if end < len(text) else piece
    if within := _PLACE.search(piece):
        raise ValueError(
            f"{within.group()[:60]!r} stands within the text {piece[:60]!r}; put the places of pictures before the text"
        )
    return piece


def pictures_of(row: Mapping[str, object], turns: Sequence[Turn], owners: Sequence[int]) -> list[tuple[str, ...]]:
    """Return the pictures of each post of a conversation.

    Args:
        row: The row.
        turns: Turns of the conversation.
        owners: Number of the turn with the text of each post.

    Raises:
        ValueError: Pictures and their places do not match, or nobody can tell of which post a picture is.
    """
    given = (*to_names(row.get("images")), *to_names(row.get("image")))
    places = [[place["name"] for place in _PLACE.finditer(text) if not place["other"]] for _, text in turns]
    named = [name for names in places for name in names]
    num_open = named.count(None)
    if num_open and num_open != len(given):
        raise ValueError(
            f"the conversation has {num_open} place(s) {IMAGE} and {len(given)} picture(s) in 'images'; each place "
            "needs its picture"
        )
    if given and named and not num_open and [*given] != named:
        raise ValueError(
            f"the pictures of the row ({', '.join(given)[:60]}) are not those of its messages "
            f"({', '.join(named)[:60]}); keep those that belong to the post"
        )
    waiting = iter(given)
    of_turns = [tuple(next(waiting) if name is None else name for name in names) for names in places]
    all_of_them = tuple(name for names in of_turns for name in names) or given
    if len(owners) == 1:
        return [all_of_them]
    of_posts = [of_turns[number] for number in owners]
    if sum(map(len, of_posts)) < len(all_of_them):
        raise ValueError(
            f"the conversation has {len(owners)} posts, and of which of them its pictures are nobody can tell; put "
            f"{IMAGE} into the message of the post, or write a conversation for each post"
        )
    return of_posts
