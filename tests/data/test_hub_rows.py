"""Rows of ``datasets`` as raw posts, from features and values alone."""

from __future__ import annotations

from typing import Any

import datasets
import pytest
from datasets import ClassLabel, Features, List, Value

from instruct_mner.data.hub_rows import HubColumns
from instruct_mner.data.importing.posts import Mark
from instruct_mner.schema.records import Box

TAGS = ClassLabel(names=["O", "B-PER", "I-PER"])
TAGGED = Features(
    {"guid": Value("string"), "words": List(Value("string")), "ner_tags": List(TAGS), "lang": Value("string")}
)
ENTITY = {"start": Value("int32"), "end": Value("int32"), "label": ClassLabel(names=["LOC", "PER"])}
MARKED = Features({"id": Value("int64"), "sentence": Value("string"), "entities": [ENTITY]})


def tagged(**row: Any) -> dict[str, Any]:
    return {"guid": "g", "words": ["Ann", "Lee", "left"], "ner_tags": [1, 2, 0], "lang": None, **row}


def marked(entities: Any) -> dict[str, Any]:
    return {"id": 7, "sentence": "Ann in Oslo", "entities": entities}


def mark(start: int, end: int, label: str, boxes: tuple[Box, ...] | None = None) -> Mark:
    return Mark(start=start, end=end, surface=None, label=label, boxes=boxes)


def test_columns_are_chosen_by_their_usual_names_and_the_rest_is_carried_along() -> None:
    columns = HubColumns.of(TAGGED)
    assert columns.names == {"tokens": "words", "tags": "ner_tags"}
    assert (columns.tag_names, columns.label_names) == (TAGS.names, None)
    assert columns.meta == ("guid", "lang")
    chosen = HubColumns.of(TAGGED, {"id": ["guid"], "meta": ["ner_tags"]})
    assert chosen.names == {"tokens": "words", "id": "guid"}
    assert chosen.meta == ("ner_tags", "lang")
    assert chosen.carried == {"ner_tags"}
    assert HubColumns.of(MARKED).label_names == ["LOC", "PER"]


@pytest.mark.parametrize(
    ("feature", "holds_pictures"),
    [
        (datasets.Image(), True),
        (List(datasets.Image()), True),
        (Value("string"), False),
        (List(Value("string")), False),
    ],
)
def test_pictures_are_told_from_their_names(feature: Any, holds_pictures: bool) -> None:
    assert HubColumns.of(Features({"text": Value("string"), "image": feature})).holds_pictures is holds_pictures


@pytest.mark.parametrize(
    ("features", "chosen", "problem"),
    [
        ({"lang": Value("string")}, {}, "S: no column is named text, sentence, tokens or words; found: lang"),
        ({"text": Value("string"), "tags": List(TAGS)}, {}, "S: column 'tags' holds tags, but there are no tokens"),
        ({"text": Value("string")}, {"id": ["textt"]}, "S: there is no column 'textt'; did you mean 'text'?"),
        ({"text": Value("string")}, {"meta": ["x"]}, "S: there is no column 'x'; found: text"),
        ({"text": Value("string"), "photo_2": datasets.Image()}, {}, "S: column 'photo_2' holds pictures"),
        ({"text": Value("string"), "bbox": Value("string")}, {}, "S: column 'bbox' looks like a box"),
    ],
)
def test_sets_that_cannot_be_read(features: Any, chosen: Any, problem: str) -> None:
    [reason] = HubColumns.of(Features(features), chosen).problems(list(features), "S")
    assert reason.startswith(problem)
    assert HubColumns.of(TAGGED, {"id": ["guid"]}).problems(list(TAGGED), "S") == []


def test_tags_are_spans_of_tokens() -> None:
    post = HubColumns.of(TAGGED).to_raw(tagged(lang="en"), "S: row 0", "tolerant")
    assert (post.text, post.tokens, post.joiner, post.unit) == (None, ("Ann", "Lee", "left"), " ", "tokens")
    assert post.marks == (mark(0, 2, "PER"),)
    assert (post.id, post.meta, post.where) == (None, {"guid": "g", "lang": "en"}, "S: row 0")
    orphan = tagged(ner_tags=[2, 0, 0])
    assert HubColumns.of(TAGGED).to_raw(orphan, "", "tolerant").marks == (mark(0, 1, "PER"),)
    assert HubColumns.of(TAGGED).to_raw(orphan, "", "strict").marks == ()


def test_a_row_without_tags_is_not_annotated() -> None:
    post = HubColumns.of(TAGGED).to_raw(tagged(ner_tags=None), "", "tolerant")
    assert (post.marks, post.unit) == (None, None)
    assert HubColumns.of(MARKED).to_raw(marked(None), "", "tolerant").marks is None
    assert HubColumns.of(MARKED).to_raw(marked([]), "", "tolerant").marks == ()


@pytest.mark.parametrize(
    "entities",
    [
        [{"start": 0, "end": 3, "label": 1}, {"start": 7, "end": 11, "label": 0}],
        {"start": [0, 7], "end": [3, 11], "label": [1, 0]},
        [{"start": 0, "end": 3, "label": "PER"}, {"start": 7, "end": 11, "type": "LOC", "label": None}],
    ],
    ids=["objects", "lists", "names"],
)
def test_entities_are_read_in_both_forms_of_the_library(entities: Any) -> None:
    post = HubColumns.of(MARKED).to_raw(marked(entities), "", "tolerant")
    assert (post.id, post.text, post.unit) == (7, "Ann in Oslo", None)
    assert post.marks == (mark(0, 3, "PER"), mark(7, 11, "LOC"))


def test_one_entity_that_is_no_list_is_one_entity() -> None:
    entity = {"start": 0, "end": 3, "label": 1, "boxes": [[1, 2, 3, 4]]}
    post = HubColumns.of(MARKED).to_raw(marked(entity), "", "tolerant")
    assert post.marks == (mark(0, 3, "PER", (Box(box=(1, 2, 3, 4)),)),)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (tagged(words=None), "the row has no text"),
        (tagged(words="Ann Lee"), "column 'words' holds a string, which is no list of tokens"),
        (tagged(words=3), "column 'words' holds 3, which is no list of tokens"),
        (tagged(words=["Ann", None, "x"]), "column 'words' holds the token None, which is no string"),
        (tagged(words=[["Ann"], ["Lee"], ["x"]]), r"column 'words' holds the token \['Ann'\], which is no string"),
        (tagged(words=["Ann"]), "the row has 1 tokens and 3 tags"),
        (tagged(ner_tags="O O O"), "column 'ner_tags' holds no list of tags but 'O O O'"),
        (tagged(ner_tags=1), "column 'ner_tags' holds no list of tags but '1'"),
        (tagged(ner_tags=[1, None, 0]), "label None is neither a name nor the number of one"),
        (tagged(ner_tags=[1, 0.0, 0]), "label 0.0 is neither a name nor the number of one"),
        (tagged(ner_tags=[True, 0, 0]), "label True is neither a name nor the number of one"),
        (tagged(ner_tags=[3, 0, 0]), "label 3 is none of the 3 that are named"),
        (tagged(ner_tags=["B-NP", "I-NP", "O"]), "column 'ner_tags' holds tags of phrases"),
    ],
)
def test_rows_with_tags_that_are_wrong(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        HubColumns.of(TAGGED).to_raw(row, "", "tolerant")


def test_tags_need_tokens_in_each_row() -> None:
    columns = HubColumns.of(Features({"text": Value("string"), **TAGGED}))
    with pytest.raises(ValueError, match="the row has 0 tokens and 3 tags"):
        columns.to_raw({**tagged(words=None), "text": "Ann Lee left"}, "", "tolerant")


@pytest.mark.parametrize(
    ("entities", "reason"),
    [
        ("Ann", "the entities are no list but 'Ann'"),
        (3, "the entities are no list but '3'"),
        ([None], "entity None is neither an object nor"),
        ([{"start": 0, "end": 3, "label": 9}], "label 9 is none of the 2 that are named"),
        ([{"start": 0, "end": 3}], "needs start, end and label"),
        ({"start": [0, 7], "end": [3], "label": [1]}, "differ in length: start 2, end 1, label 1"),
    ],
)
def test_entities_that_are_wrong(entities: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        HubColumns.of(MARKED).to_raw(marked(entities), "", "tolerant")
