"""What is particular to answers as JSON; what both formats promise is in ``test_answers.py``."""

from __future__ import annotations

import json

import pytest
from llguidance import LLMatcher
from test_answers import LABELS, admits, spec, written

from instruct_mner.answers import codec
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.errors import ConfigError
from instruct_mner.schema.records import Box, Entity


def as_json(**changes: object) -> AnswerSpec:
    return spec(format="json", **changes)


@pytest.mark.parametrize(
    "answer",
    ["", "[", "{}", "[{}]", "none", "[ ]", '[{"text":"","label":"PER"}]', '[{"text":"Chicag","label":"PER"}]',
     '[{"text":"Chicago","label":"ORG"}]', '[{"text":" Chicago","label":"PER"}]', '[{"text":",","label":"PER"}]',
     '[{"text": "Chicago","label":"PER"}]', '[{"label":"PER","text":"Chicago"}]', '[{"text":"Chicago","label":"PER"},]',
     '[{"text":"Chicago","label":"PER","box":[]}]', '[{"text":"\\u0043hicago","label":"PER"}]', "[]\n",
     '[{"text":"Chicago","label":"PER"}]\n', '[{"text":"\\\\","label":"PER"}]', '[{"text":"x\\","label":"PER"}]'],
)  # fmt: skip
def test_the_grammar_of_json_refuses(answer: str) -> None:
    assert not admits(codec.grammar(as_json(), "#Chicago , \\x\\ 's"), answer)


def test_the_grammar_of_json_knows_escapes_as_wholes() -> None:
    text = 'say "hi\\" Ann'
    grammar = codec.grammar(as_json(), text)
    for surface in ('"hi\\"', "hi\\", "hi", '\\" Ann', text):
        assert admits(
            grammar, json.dumps([{"text": surface, "label": 'a "b" é'}], separators=(",", ":"), ensure_ascii=False)
        )
    assert not admits(grammar, '[{"text":"\\hi","label":"PER"}]')


@pytest.mark.parametrize(
    ("num_images", "box", "legal"),
    [
        (1, "[]", True), (1, "[0,0,1000,1000]", True), (1, "[0,0,1000,1001]", False), (1, "[0, 0, 1, 1]", False),
        (1, "[00,0,1,1]", False), (1, "[1,0,0,1,1]", False), (1, "[9,9,1,1]", True), (1, "null", False),
        (0, "[]", True), (0, "[0,0,1,1]", False), (2, "[2,0,0,1,1]", True), (2, "[3,0,0,1,1]", False),
        (2, "[0,0,1,1]", False),
    ],
)  # fmt: skip
def test_boxes_that_are_legal_in_json(num_images: int, box: str, legal: bool) -> None:
    rules = as_json(grounded=True)
    answer = f'[{{"text":"Ann","label":"PER","box":{box}}}]'
    assert admits(codec.grammar(rules, "Ann", num_images), answer) is legal
    if legal:
        assert codec.parse(rules, "Ann", answer, num_images).rejected.total == 0


ANN, PARIS = '{"text":"Ann","label":"PER"}', '{"text":"Paris","label":"LOC"}'


@pytest.mark.parametrize(
    ("completion", "labels", "rejected"),
    [
        ("[]", [], (0, 0, 0)),
        (" [ ]\n", [], (0, 0, 0)),
        ("", [], (1, 0, 0)),
        ("none", [], (1, 0, 0)),
        ("{}", [], (1, 0, 0)),
        ("[1, 2]", [], (1, 0, 0)),
        (f"[{PARIS},{ANN}]", ["PER", "LOC"], (0, 0, 0)),
        (f"```json\n[{ANN}]\n```", ["PER"], (0, 0, 0)),
        ('[ { "label" : "PER", "text" : "Ann", "why": ["a name"] } , ]', ["PER"], (0, 0, 0)),
        (f"Sure! Here you go:\n[{ANN}]", ["PER"], (1, 0, 0)),
        (f"[{ANN}]\nAnything else?", ["PER"], (1, 0, 0)),
        (f'[{ANN},7,{{"text":"Paris"}},{PARIS}]', ["PER", "LOC"], (2, 0, 0)),
        (f'[{ANN},{{"text":"Paris","label":"DOG"}},{{"text":" ","label":"PER"}},{{"text":3,"label":"PER"}}]', ["PER"],
         (3, 0, 0)),
        (f'[{ANN},{{"text":"Eve","label":"PER"}},{ANN}]', ["PER"], (0, 1, 1)),
        (f"[{ANN},oops,{PARIS}]", ["PER"], (1, 0, 0)),
    ],
)  # fmt: skip
def test_what_is_read_of_json(completion: str, labels: list[str], rejected: tuple[int, int, int]) -> None:
    answer = codec.parse(as_json(), "Ann in Paris", completion)
    assert [entity.label for entity in answer.entities] == labels
    assert (answer.rejected.malformed, answer.rejected.hallucinated, answer.rejected.unplaceable) == rejected


@pytest.mark.parametrize(
    ("completion", "labels"),
    [
        (f"[{ANN},{PARIS[:-4]}", ["PER"]),
        (f"[{ANN},", ["PER"]),
        (f"[{ANN}", ["PER"]),
        (f"[{ANN},{PARIS}]", ["PER", "LOC"]),
        ("[", []),
        ("", []),
    ],
)
def test_of_json_that_was_cut_whole_objects_are_read_and_the_cut_is_counted(completion: str, labels: list[str]) -> None:
    answer = codec.parse(as_json(), "Ann in Paris", completion, finished=False)
    assert [entity.label for entity in answer.entities] == labels
    assert answer.rejected.malformed == 1


def test_written_in_json_is_label_and_mention_without_what_is_between() -> None:
    completion = f'[{{"label": "PER", "text": "Ann"}},{PARIS}]'
    assert written(as_json(), "Ann in Paris", completion) == [["Ann", "PER"], ["Paris", "LOC"]]


def test_the_schema_names_the_labels_and_admits_gold() -> None:
    schema = codec.json_schema(as_json(grounded=True), num_images=2)
    item = schema["items"]
    assert item["properties"]["label"]["enum"] == list(LABELS.names)
    assert item["required"] == ["text", "label", "box"]
    grammar = LLMatcher.grammar_from_json_schema(schema)
    gold = [Entity(start=0, end=3, text="Ann", label="PER", boxes=(Box(image=1, box=(1, 2, 3, 4)),))]
    assert admits(grammar, codec.render(as_json(grounded=True), "Ann", gold, num_images=2))
    assert not admits(grammar, '[{"text":"Ann","label":"DOG","box":[]}]')
    with pytest.raises(ConfigError, match="--constraint grammar"):
        codec.json_schema(spec())
