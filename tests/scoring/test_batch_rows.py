"""Outputs of batch APIs: by their ids in any order, and no failed request without a word."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scoring_cases import ANNA, NOTHING

from instruct_mner.errors import DataError
from instruct_mner.scoring.batch_rows import plain_row
from instruct_mner.scoring.predictions import read_predictions

ANSWERS = {NOTHING.id: "[]", ANNA.id: '[{"text": "Oslo", "label": "LOC"}]'}
Write = Callable[[str, str], dict[str, Any]]


def openai(identifier: str, answer: str) -> dict[str, Any]:
    choices = [{"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}]
    response = {"status_code": 200, "request_id": "r", "body": {"object": "chat.completion", "choices": choices}}
    return {"id": "batch_req_1", "custom_id": identifier, "response": response, "error": None}


def anthropic(identifier: str, answer: str) -> dict[str, Any]:
    content = [{"type": "text", "text": answer[:1]}, {"type": "text", "text": answer[1:]}]
    return {
        "custom_id": identifier,
        "result": {"type": "succeeded", "message": {"role": "assistant", "content": content}},
    }


def flat(identifier: str, answer: str) -> dict[str, Any]:
    return {"id": identifier, "output": answer}


def made_of_one(identifier: str, answer: str) -> dict[str, Any]:
    return {"custom_id": identifier, "response": answer}


def written(folder: Path, rows: list[dict[str, Any]], name: str = "a.jsonl") -> Path:
    path = folder / name
    path.write_text(json.dumps(rows) if name == "a.json" else "".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
@pytest.mark.parametrize("write", [openai, anthropic, flat, made_of_one])
def test_answers_are_those_of_the_posts_of_their_ids(write: Write, name: str, tmp_path: Path) -> None:
    path = written(tmp_path, [write(*each) for each in ANSWERS.items()], name)
    found = {each.id: [entity.text for entity in each.entities] for each in read_predictions(path, (ANNA, NOTHING))}
    assert found == {NOTHING.id: [], ANNA.id: ["Oslo"]}


FAILURES = {
    "error": {"custom_id": "a", "response": None, "error": {"message": "boom"}},
    "status": {"custom_id": "a", "response": {"status_code": 500, "body": {"error": "boom"}}, "error": None},
    "expired": {"custom_id": "a", "result": {"type": "errored", "error": {"message": "boom"}}},
}


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("first", [True, False])
def test_failed_requests_are_refused(failure: dict[str, Any], first: bool, name: str, tmp_path: Path) -> None:
    rows = [failure, openai(NOTHING.id, "[]")]
    path = written(tmp_path, rows if first else rows[::-1], name)
    with pytest.raises(DataError, match=r"the request failed: .*boom.*make it again"):
        read_predictions(path, (ANNA, NOTHING))


@pytest.mark.parametrize(
    ("choices", "reason"),
    [([], "holds no message of a chat"), ([{"text": "[]"}], "holds no message"), ([{"message": {}}] * 2, "2 choices")],
)
def test_a_response_without_one_message_is_refused(choices: list[Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        plain_row({"custom_id": "a", "response": {"status_code": 200, "body": {"choices": choices}}})


def test_a_refusal_is_no_empty_answer(tmp_path: Path) -> None:
    refused = openai(ANNA.id, "")
    refused["response"]["body"]["choices"][0]["message"] = {"content": None, "refusal": "I cannot help with that."}
    [read] = read_predictions(written(tmp_path, [refused]), (ANNA,))
    assert (read.entities, read.rejected.malformed) == ((), 1)


@pytest.mark.parametrize("row", [{"id": "a", "response": "[]"}, {"choices": "a, b"}, {"custom_id": "a"}, {}], ids=str)
def test_other_rows_stay_as_they_are(row: dict[str, Any]) -> None:
    assert plain_row(row) is row


def test_entities_beside_an_answer_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, [{"id": ANNA.id, "text": ANNA.text, "entities": [], "output": "[]"}])
    with pytest.raises(DataError, match="both entities and an answer"):
        read_predictions(path, (ANNA,))


def test_tags_are_no_answer(tmp_path: Path) -> None:
    path = written(tmp_path, [{"tokens": ["Anna", "left"], "prediction": "B-PER O"}])
    with pytest.raises(DataError):
        read_predictions(path, (ANNA,))
