"""Rows with columns of any name, their entities and boxes, and names of pictures of any form."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from instruct_mner.data.importing.generic import as_id, parse_cell, to_names, to_post
from instruct_mner.data.importing.marks import to_boxes, to_mark
from instruct_mner.data.importing.posts import Mark
from instruct_mner.data.importing.roles import Roles

TAGGED = Roles({"tokens": "words", "tags": "ner", "id": "uid"}, meta=("lang", "meta"))


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (None, ()),
        ("", ()),
        ("  ", ()),
        ("a/7.jpg", ("a/7.jpg",)),
        (7, ("7",)),
        (7.0, ("7",)),
        (["a.jpg", None, ["b.jpg"]], ("a.jpg", "b.jpg")),
        ({"path": None, "url": "https://host/x/7%20a.jpg?size=large"}, ("https://host/x/7%20a.jpg?size=large",)),
        ("C:\\pictures\\7.jpg", ("C:\\pictures\\7.jpg",)),
        (" 7.jpg\n", ("7.jpg",)),
        ("['a.jpg', 'b.jpg']", ("a.jpg", "b.jpg")),
        ('["a.jpg"]', ("a.jpg",)),
        ("[1] a.jpg", ("[1] a.jpg",)),
        ("Anna & Bo.jpg", ("Anna & Bo.jpg",)),
        ("you and me.jpg", ("you and me.jpg",)),
        ("http://host/a.jpg?x=1&y=b.jpg", ("http://host/a.jpg?x=1&y=b.jpg",)),
    ],
)
def test_names_of_pictures(value: object, names: tuple[str, ...]) -> None:
    assert to_names(value) == names


@pytest.mark.parametrize("value", [True, 7.5, {"bytes": "x"}, [{}]])
def test_what_is_no_name_of_a_picture(value: object) -> None:
    with pytest.raises(ValueError, match="a picture is no name of a file"):
        to_names(value)


@pytest.mark.parametrize("between", [";", ", ", "|", " ", "\n", "\r\n", "\n\n", "\t", " & ", " + ", " and "])
def test_several_pictures_in_one_string_are_refused(between: str) -> None:
    with pytest.raises(ValueError, match=r"several pictures in one string, .*: \['a\.jpg', 'b\.PNG'\]"):
        to_names(f"a.jpg{between}b.PNG")


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


@pytest.mark.parametrize(
    ("more", "boxes"),
    [
        ({"boxes": None, "box": [1, 2, 3, 4]}, [1, 2, 3, 4]),
        ({"boxes": float("nan"), "box": [1, 2, 3, 4]}, [1, 2, 3, 4]),
        ({"boxes": [], "box": None}, []),
    ],
)
def test_an_empty_field_of_boxes_hides_no_other(more: dict[str, Any], boxes: list[int]) -> None:
    mark = to_mark({"start": 0, "end": 4, "label": "PER", **more})
    assert (mark.boxes, mark.unread) == (to_boxes(boxes), frozenset())


def test_two_fields_of_boxes_are_a_question() -> None:
    with pytest.raises(ValueError, match="has both 'boxes' and 'box'; write all of its boxes into 'boxes'"):
        to_mark({"start": 0, "end": 4, "label": "PER", "boxes": [[1, 2, 3, 4]], "box": [5, 6, 7, 8]})


@pytest.mark.parametrize(
    ("mark", "read", "unread"),
    [
        ({"type": "NamedEntity", "category": "PER", "start": 0, "end": 4}, (0, 4, "NamedEntity"), {"category"}),
        ({"label": "PER", "type": "LOC", "start": 0, "end": 4}, (0, 4, "PER"), {"type"}),
        ({"label": "PER", "start": 0, "end": 4, "from": 1, "to": 3}, (0, 4, "PER"), {"from", "to"}),
        ({"label": "PER", "start": 0, "end": 4, "offsets": [1, 3]}, (0, 4, "PER"), {"offsets"}),
        ({"label": "PER", "start": 0, "end": 4, "length": 9}, (0, 4, "PER"), {"length"}),
        ({"label": "PER", "pos": "NNP", "offsets": [0, 4]}, (0, 4, "PER"), {"pos"}),
        ({"label": "PER", "start": 9, "span": {"begin": 0, "end": 4}}, (0, 4, "PER"), {"start"}),
        ({"label": "PER", "offset": 2, "length": 4, "idx": None}, (2, 6, "PER"), set()),
        ({"label": "PER", "text": "Anna", "start": "first", "end": "last"}, (None, None, "PER"), {"start", "end"}),
    ],
)
def test_of_several_fields_that_may_be_type_or_offsets_the_others_are_told(
    mark: dict[str, Any], read: tuple[Any, ...], unread: set[str]
) -> None:
    entity = to_mark(mark)
    assert ((entity.start, entity.end, entity.label), entity.unread) == (read, unread)


def test_a_whole_number_is_the_words_of_a_mention_without_offsets() -> None:
    for number in (2024, 2024.0):
        assert to_mark({"text": number, "label": "DATE"}).surface == "2024"
    assert to_mark({"text": 3, "start": 0, "end": 4, "label": "DATE"}).unread == {"text"}
    for other in ({"text": True}, {"text": 0.5}, {"value": 7}, {"entity": 7}):
        with pytest.raises(ValueError, match="needs start, end and label, or a text and label"):
            to_mark({"label": "DATE", **other})


def test_tags_become_entities_in_tokens() -> None:
    row = {"words": ["Ann", "left"], "ner": ["S-PER", "O"], "uid": 7.0, "lang": "en", "meta": {"likes": 3}}
    post = to_post(row, TAGGED, "f:1")
    assert (post.id, post.text, post.tokens, post.unit) == (7, None, ("Ann", "left"), "tokens")
    assert post.marks == (Mark(start=0, end=1, surface=None, label="PER"),)
    assert post.meta == {"lang": "en", "likes": 3}
    numbers = to_post({"words": ["Ann", "left"], "ner": [1, 0]}, TAGGED, "f:1", tag_names=("O", "B-PER"))
    assert numbers.marks == post.marks
    assert to_post({"words": ["Ann"], "ner": None}, TAGGED, "f:1").marks is None


def test_ids_that_are_neither_texts_nor_whole_numbers_are_refused() -> None:
    assert [as_id(value) for value in (7, 7.0, "a", "", None, float("nan"))] == [7, 7, "a", None, None, None]
    for value in (1.5, [3], True, date(2024, 1, 2)):
        with pytest.raises(ValueError, match=r"id '.*' is no text and no whole number; .*--column meta=NAME"):
            as_id(value)


def test_tuples_in_a_cell_are_lists() -> None:
    assert parse_cell("[(0, 4, 'PER')]") == [[0, 4, "PER"]]
    assert parse_cell("[{'span': (0, 4), 'label': 'PER'}]") == [{"span": [0, 4], "label": "PER"}]


def test_an_error_of_a_spreadsheet_is_no_text() -> None:
    with pytest.raises(ValueError, match="the text is '#NAME\\?', which programs write for nothing or for an error"):
        to_post({"text": "#NAME?"}, Roles({"text": "text"}), "f:1")


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
