"""JSON as it is written, the objects of a completion with the characters that hold them, and the schema."""

from __future__ import annotations

import json

import pytest
from test_answers import LABELS, spec

from instruct_mner.answers.json_array import Json
from instruct_mner.answers.syntax import Mention
from instruct_mner.schema.records import Box, Entity

TEXT = 'say "hi" to Ann'


def array(num_images: int = 1, **changes: object) -> Json:
    return Json(spec(format="json", **changes), num_images)


def test_what_is_written_is_compact_and_escaped() -> None:
    greeting = Entity(start=4, end=8, text='"hi"', label='a "b" é')
    name = Entity(start=12, end=15, text="Ann", label="PER", boxes=(Box(image=1, box=(0, 0, 9, 9)),))
    assert array().render(TEXT, []) == "[]"
    assert array().render(TEXT, [greeting]) == r'[{"text":"\"hi\"","label":"a \"b\" é"}]'
    assert array(2, grounded=True).render(TEXT, [greeting, name]) == (
        r'[{"text":"\"hi\"","label":"a \"b\" é","box":[]},{"text":"Ann","label":"PER","box":[2,0,0,9,9]}]'
    )
    assert array().spelled('"hi"\n') == r"\"hi\"\n"


def test_mentions_are_read_with_the_characters_between_their_quotes() -> None:
    completion = r'[{"text":" \"hi\" ","label":"PER"},{"label": "LOC", "text": "Ann"}]'
    mentions, malformed = array().read(completion, finished=True)
    assert malformed == 0
    assert [(mention.label, mention.surface) for mention in mentions] == [("PER", '"hi"'), ("LOC", "Ann")]
    pieces = [[completion[start:end] for start, end in mention.written] for mention in mentions]
    assert pieces == [[r" \"hi\" ", "PER"], ["Ann", "LOC"]]


OBJECT = '{"text":"Ann","label":"PER"}'


@pytest.mark.parametrize(
    ("completion", "num_mentions", "malformed"),
    [
        (f"[{OBJECT}", 1, 1),
        (f"[{OBJECT},", 1, 1),
        (f"[{OBJECT},{OBJECT[:-1]}", 1, 1),
        (f"[{OBJECT},{OBJECT}]", 2, 1),
        ("[", 0, 1),
    ],
)
def test_of_what_was_cut_the_whole_objects_are_read(completion: str, num_mentions: int, malformed: int) -> None:
    mentions, count = array().read(completion, finished=False)
    assert (len(mentions), count) == (num_mentions, malformed)


@pytest.mark.parametrize("box", ["null", "[1,2,3]", "[1,2,3,true]", "[1,2,3,4.0]", "[-1,2,3,4]", '"1,2,3,4"', "{}"])
def test_an_entity_whose_box_is_none_is_malformed(box: str) -> None:
    completion = f'[{{"text":"Ann","label":"PER","box":{box}}},{{"text":"Ann","label":"PER","box":[1,2,3,4]}}]'
    [mention], malformed = array(grounded=True).read(completion, finished=True)
    assert malformed == 1
    assert mention.box == Box(box=(1, 2, 3, 4))


def test_an_entity_that_is_not_visible_has_no_box() -> None:
    read = array(grounded=True).read('[{"text":"Ann","label":"PER","box":[]}]', finished=True)
    assert read == ([Mention("PER", "Ann", None, ((10, 13), (24, 27)))], 0)


@pytest.mark.parametrize(("num_images", "length"), [(0, None), (1, 4), (2, 5)])
def test_the_schema_allows_what_is_written_and_says_how_many(num_images: int, length: int | None) -> None:
    schema = array(num_images, grounded=True, max_entities=2, box_range=9).schema()
    assert schema["maxItems"] == 2
    item = schema["items"]
    assert item["required"] == ["text", "label", "box"]
    assert item["properties"]["label"]["enum"] == list(LABELS.names)
    box = item["properties"]["box"]
    nowhere = {"type": "array", "items": {"type": "integer"}, "maxItems": 0}
    if length is None:
        assert box == nowhere
        return
    number = {"type": "integer", "minimum": 0, "maximum": 9}
    somewhere = {"type": "array", "items": number, "minItems": length, "maxItems": length}
    assert box == {"anyOf": [nowhere, somewhere]}
    seen = Entity(start=12, end=15, text="Ann", label="PER", boxes=(Box(box=(0, 0, 9, 9)),))
    [written] = json.loads(array(num_images, grounded=True).render(TEXT, [seen]))
    assert list(written) == item["required"]
    assert len(written["box"]) == length


def test_no_box_is_asked_for_where_answers_are_not_grounded() -> None:
    assert list(array().schema()["items"]["properties"]) == ["text", "label"]
    assert "BOX" not in array().grammar("Ann")
    assert 'entity: "{\\"text\\":\\"" MENTION "\\",\\"label\\":" LABEL ",\\"box\\":" "[]" "}"' in array(
        0, grounded=True
    ).grammar("Ann")
