"""Rows with columns of any name, and names of pictures of any form."""

from __future__ import annotations

from typing import Any

import pytest

from instruct_mner.data.importing.generic import to_names, to_post
from instruct_mner.data.importing.posts import Mark
from instruct_mner.data.importing.roles import Roles

TAGGED = Roles({"tokens": "words", "tags": "ner", "id": "uid"}, meta=("lang", "meta"))


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (None, ()),
        ("", ()),
        ("a/7.jpg", ("a/7.jpg",)),
        (7, ("7",)),
        (7.0, ("7",)),
        (["a.jpg", None, ["b.jpg"]], ("a.jpg", "b.jpg")),
        ({"path": None, "url": "https://host/x/7%20a.jpg?size=large"}, ("7 a.jpg",)),
        ("C:\\pictures\\7.jpg", ("7.jpg",)),
        ("/data/upload/7-a.png?d=1", ("7-a.png",)),
    ],
)
def test_names_of_pictures(value: object, names: tuple[str, ...]) -> None:
    assert to_names(value) == names


@pytest.mark.parametrize("value", [True, 7.5, {"bytes": "x"}, [{}]])
def test_what_is_no_name_of_a_picture(value: object) -> None:
    with pytest.raises(ValueError, match="a picture is no name of a file"):
        to_names(value)


def test_tags_become_entities_in_tokens() -> None:
    row = {"words": ["Ann", "left"], "ner": ["S-PER", "O"], "uid": 7.0, "lang": "en", "meta": {"likes": 3}}
    post = to_post(row, TAGGED, "f:1")
    assert (post.id, post.text, post.tokens, post.unit) == (7, None, ("Ann", "left"), "tokens")
    assert post.marks == (Mark(start=0, end=1, surface=None, label="PER"),)
    assert post.meta == {"lang": "en", "likes": 3}
    numbers = to_post({"words": ["Ann", "left"], "ner": [1, 0]}, TAGGED, "f:1", tag_names=("O", "B-PER"))
    assert numbers.marks == post.marks
    assert to_post({"words": ["Ann"], "ner": None}, TAGGED, "f:1").marks is None


def test_labels_that_are_numbers_get_their_names() -> None:
    roles = Roles({"text": "text", "entities": "ents"})
    row: dict[str, Any] = {"text": "Ann", "ents": [{"start": 0, "end": 3, "label": 1}]}
    [mark] = to_post(row, roles, "f:1", tag_names=("LOC", "PER")).marks or ()
    assert (mark.start, mark.end, mark.label) == (0, 3, "PER")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({}, "the row has no text"),
        ({"words": "Ann"}, "the tokens are no list of strings: 'Ann'"),
        ({"words": ["Ann", 3]}, "the tokens are no list of strings"),
        ({"words": ["Ann"], "ner": ["O", "O"]}, "the row has 1 tokens and 2 tags"),
        ({"words": ["Ann"], "ner": 7}, "the tags are no list but '7'"),
        ({"words": ["Ann"], "ner": "O O"}, "the row has 1 tokens and 2 tags"),
        ({"words": ["Ann"], "ner": [4]}, "tag 4 is a number without a name.*--label-names"),
        ({"words": ["Ann"], "ner": ["PER"]}, "tag 'PER' is none of O, B-<type>, I-<type>"),
        ({"words": ["Ann"], "ner": ["B-NP"]}, "the tags are those of phrases"),
    ],
)
def test_rows_that_are_wrong(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        to_post(row, TAGGED, "f:1")
