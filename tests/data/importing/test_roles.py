"""Columns by what they hold: told by name and shape, chosen by the user, or asked about."""

from __future__ import annotations

from typing import Any

import pytest

from instruct_mner.data.importing.generic import to_post
from instruct_mner.data.importing.looks import looks_like
from instruct_mner.data.importing.roles import asks_about, choose_roles, parse_columns
from instruct_mner.errors import ConfigError, DataError


def roles(row: dict[str, Any], **chosen: list[str]) -> Any:
    return choose_roles([row], chosen, "f")


def test_columns_are_told_by_name_and_shape() -> None:
    told = roles({"tweet": "a b", "labels": [[0, 1, "X"]], "img": "7.jpg", "lang": "en", "Unnamed: 0": 3})
    assert told.columns == {"text": "tweet", "entities": "labels", "images": "img"}
    assert (told.meta, told.dropped) == (("lang",), ("Unnamed: 0",))
    assert told.get({"tweet": "x"}, "text") == "x"
    assert told.get({"tweet": "x"}, "tokens") is None
    # One name, another shape: tags.
    assert roles({"tokens": ["a"], "labels": ["O"]}).columns == {"tokens": "tokens", "tags": "labels"}


@pytest.mark.parametrize(
    ("entities", "annotates"),
    [
        ({"hashtags": [{"text": "fun", "indices": [14, 18]}], "urls": [], "user_mentions": [], "symbols": []}, False),
        ({"hashtags": [{"start": 14, "end": 18, "tag": "fun"}]}, False),
        ({"urls": [], "mentions": [{"start": 0, "end": 4, "username": "anna"}]}, False),
        ({"mentions": [{"start": 0, "end": 4, "label": "PER"}]}, True),
        ({"hashtags": ["#fun"]}, True),
        ({"PER": ["Anna"]}, True),
    ],
)
def test_entities_of_twitter_are_no_annotation(entities: Any, annotates: bool) -> None:
    told = roles({"full_text": "Anna in Paris #fun", "entities": entities})
    assert told.columns == {"text": "full_text"} | ({"entities": "entities"} if annotates else {})
    assert told.meta == (() if annotates else ("entities",))


def test_the_user_says_more() -> None:
    told = roles({"text": "a", "headline": "b", "bbox": [1]}, text=["headline"], meta=["bbox", "text"])
    assert told.columns == {"text": "headline"}
    assert set(told.meta) == {"text", "bbox"}


@pytest.mark.parametrize(
    ("row", "chosen", "reason"),
    [
        ({"text": "a", "bbox": [1]}, {}, "f: column 'bbox' looks like a box, and that is not guessed.*meta=bbox"),
        ({"text": "a", "spam": [{"start": 0, "end": 1}]}, {}, "column 'spam' looks like labels"),
        ({"lang": "en"}, {}, "no column is known to hold the text or its tokens; found: lang"),
        ({"text": "a"}, {"text": ["txt"]}, "--column text=txt: there is no such column.*did you mean 'text'"),
        ({"text": "a", "b": "c"}, {"text": ["text", "b"]}, "--column text is given twice"),
        ({"tokens": "a b"}, {}, "column 'tokens' holds a string, not a list of tokens"),
        (
            {"text": "a", "label": "PER"},
            {},
            "but 'PER' is no list of entities such as .* say --column meta",
        ),
        (
            {"text": "a", "post-id": {"0": 1}},
            {},
            "is no number and no name, .* say --column meta",
        ),
    ],
)
def test_questions(row: dict[str, Any], chosen: dict[str, list[str]], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        roles(row, **chosen)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("imgUrl", "a picture"), ("bounding_box", "a box"), ("entity_labels", "labels"), ("tweet-id", "an id"),
     ("pos_tags", None), ("lang", None), ("idea", None)],
)  # fmt: skip
def test_names_that_look_like_more(name: str, kind: str | None) -> None:
    assert looks_like(name) == kind
    assert (asks_about(name, "f") is None) == (kind is None)


@pytest.mark.parametrize("word", ["nan", "NULL", "None", "-"])
def test_words_for_nothing_tell_no_column(word: str) -> None:
    told = choose_roles([{"text": "a", "entities": word}, {"text": "b", "entities": [[0, 1, "X"]]}], {}, "f")
    assert told.columns == {"text": "text", "entities": "entities"}
    assert roles({"text": "a", "entities": word}).columns == {"text": "text", "entities": "entities"}
    assert roles({"tokens": ["a"], "tags": word}).columns == {"tokens": "tokens", "tags": "tags"}
    assert roles({"text": "a", "image": word}).columns == {"text": "text", "images": "image"}
    with pytest.raises(DataError, match=f"column 'label' looks like labels, but '{word}' is no list of entities"):
        roles({"text": "a", "label": word})
    for role, row in (("tags", {"tokens": ["a"], "tags": word}), ("entities", {"text": "a", "entities": word})):
        with pytest.raises(ValueError, match=f"column '{role}' holds '{word}', which programs write for nothing"):
            to_post(row, roles(row), "f:2")


def test_columns_of_the_command_line() -> None:
    assert parse_columns(["text=a", "meta=b", "meta=c=d"]) == {"text": ["a"], "meta": ["b", "c=d"]}
    wrong_ones = {"txt=a": "'txt' is no role; did you mean 'text'", "text": "write ROLE=NAME", "text=": "write ROLE"}
    for wrong, hint in wrong_ones.items():
        with pytest.raises(ConfigError, match=hint):
            parse_columns([wrong])
