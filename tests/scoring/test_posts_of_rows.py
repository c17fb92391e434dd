"""Posts that rows of other programs are of: by ids, order or text, and never by a guess without a word."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from scoring_cases import ANNA, NOTHING

from instruct_mner.errors import DataError
from instruct_mner.schema.records import Example
from instruct_mner.scoring.posts_of_rows import match_posts

BELL = Example(id="c", text="Bell left")
THREE = (ANNA, NOTHING, BELL)


def matched(*rows: dict[str, Any]) -> list[str]:
    return [post.id for post in match_posts(Path("a.jsonl"), rows, THREE[: len(rows)])]


def of_id(identifier: str) -> dict[str, Any]:
    return {"id": identifier, "entities": []}


def asked(identifier: str, question: str, *, answered: bool = True) -> dict[str, Any]:
    return {"id": identifier, "prompt": question, **({"predict": "none"} if answered else {"entities": []})}


@pytest.mark.parametrize(
    ("rows", "foreign", "lacking"),
    [
        ([of_id("c"), of_id("b"), of_id("a1")], "1 row.*: 'a1'", "1 post.*: 'a'"),
        ([of_id("1"), of_id("2"), of_id("3")], "3 row.*: '1', '2', '3'", "3 post.*: 'a', 'b', 'c'"),
        ([of_id("c"), of_id("b"), {"entities": []}], "1 row.* without an id", "1 post.*: 'a'"),
    ],
)
def test_ids_that_the_gold_does_not_have_are_refused_where_texts_do_not_match_the_rows(
    rows: list[Any], foreign: str, lacking: str
) -> None:
    with pytest.raises(DataError, match="its ids are not those of the gold") as refused:
        matched(*rows)
    assert re.search(foreign, str(refused.value))
    assert re.search(lacking, str(refused.value))


def test_too_few_rows_of_which_some_have_ids_of_the_gold_are_told_by_their_ids() -> None:
    rows = [asked("a", ANNA.text), asked("b2", NOTHING.text)]
    with pytest.raises(DataError, match=r"1 row.*: 'b2'\n.*2 post.*: 'b', 'c'"):
        match_posts(Path("a.jsonl"), rows, THREE)


def test_rows_that_are_not_matched_by_ids_or_texts_alone_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert matched(asked("b1", NOTHING.text), asked("a", ANNA.text)) == ["b", "a"]
    assert "1 of 2 rows have no id of the gold, the first is 'b1'; all rows are matched by" in capsys.readouterr().err
    assert matched({"predict": "PER: Anna"}, {"predict": ""}) == ["a", "b"]
    assert "2 of 2 rows hold neither an id nor the text of their post" in capsys.readouterr().err


@pytest.mark.parametrize("answered", [True, False])
def test_a_question_of_another_post_than_that_of_the_id_is_refused_and_one_that_is_cut_is_told(
    answered: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    def row(post: Example, question: str) -> dict[str, Any]:
        return asked(post.id, question, answered=answered)

    with pytest.raises(DataError, match="2 of 3 rows were not asked about the post of their id: the question of row 1"):
        matched(row(ANNA, NOTHING.text), row(NOTHING, ANNA.text), row(BELL, BELL.text))
    assert matched(row(ANNA, ANNA.text[:9]), row(NOTHING, NOTHING.text), row(BELL, BELL.text)) == ["a", "b", "c"]
    said = capsys.readouterr().err
    assert "1 of 3 rows were not asked about the post of their id as it stands, but scored on it" in said


@pytest.mark.parametrize("name", ["predict", "entities"])
def test_rows_of_one_text_are_taken_in_another_order_only_where_they_say_the_same(name: str) -> None:
    again = Example(id="d", text=ANNA.text, entities=ANNA.gold[:1])
    gold = (ANNA, NOTHING, again)
    both, one, none = (
        {"text": post.text, name: str(post.gold) if name == "predict" else [each.model_dump() for each in post.gold]}
        for post in (ANNA, again, NOTHING)
    )
    assert list(match_posts(Path("a.jsonl"), [both, none, one], gold)) == list(gold)
    assert list(match_posts(Path("a.jsonl"), [one, one, none], gold)) == [ANNA, again, NOTHING]
    with pytest.raises(DataError, match="rows 1 and 2 have the same text, 'Anna flew to Oslo', and different predict"):
        match_posts(Path("a.jsonl"), [one, both, none], gold)
