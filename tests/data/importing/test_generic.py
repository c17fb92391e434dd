"""Rows with columns of any name, their entities and boxes, and names of pictures of any form."""

from __future__ import annotations

from typing import Any

import pytest

from instruct_mner.data.importing.generic import to_names, to_post
from instruct_mner.data.importing.posts import Mark, to_boxes, to_mark
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
        ({"path": None, "url": "https://host/x/7%20a.jpg?size=large"}, ("https://host/x/7%20a.jpg?size=large",)),
        ("C:\\pictures\\7.jpg", ("C:\\pictures\\7.jpg",)),
    ],
)
def test_names_of_pictures(value: object, names: tuple[str, ...]) -> None:
    assert to_names(value) == names


@pytest.mark.parametrize("value", [True, 7.5, {"bytes": "x"}, [{}]])
def test_what_is_no_name_of_a_picture(value: object) -> None:
    with pytest.raises(ValueError, match="a picture is no name of a file"):
        to_names(value)


def test_boxes_of_an_entity() -> None:
    assert to_boxes(None) is to_boxes(float("nan")) is None
    assert to_boxes([]) == ()
    boxes = to_boxes([1, 2, 3, 4])
    assert boxes == to_boxes([[1, 2, 3, 4]]) == to_boxes([{"image": 0, "box": [1, 2, 3, 4]}])
    for wrong, reason in (
        ([[10, 20, 5, 4]], r"box \[10, 20, 5, 4\]: "),
        ([[1, 2]], r"box \[1, 2\]: "),
        ("1,2", "no list of"),
    ):
        with pytest.raises(ValueError, match=reason) as raised:
            to_boxes(wrong)
        assert "pydantic" not in str(raised.value)
        assert "\n" not in str(raised.value)


def test_an_entity_of_the_pipeline_of_transformers() -> None:
    mark = {"entity": "PER", "score": 0.9, "index": 1, "word": "Anna", "start": 0, "end": 4}
    assert to_mark(mark) == Mark(start=0, end=4, surface="Anna", label="PER", unread=frozenset({"score", "index"}))
    with pytest.raises(ValueError, match="'B-PER' is the tag of a token: join the tokens of a mention"):
        to_mark({**mark, "entity": "B-PER"})


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
