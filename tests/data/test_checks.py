from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from instruct_mner.data.checks import GoldCheck
from instruct_mner.data.content import hash_content
from instruct_mner.data.loading import load_split
from instruct_mner.data.problem_groups import group_problems
from instruct_mner.errors import DataError
from instruct_mner.schema.records import Example


def write(tmp_path: Path, *posts: dict[str, Any]) -> str:
    path = tmp_path / "posts.jsonl"
    path.write_text("".join(json.dumps({"id": str(number), **post}) + "\n" for number, post in enumerate(posts)))
    return str(path)


def post(text: str, *spans: tuple[int, int], label: str = "PER", **more: Any) -> dict[str, Any]:
    entities = [{"start": start, "end": end, "text": text[start:end], "label": label, **more} for start, end in spans]
    return {"text": text, "images": ["a.png"], "entities": entities}


def test_gold_that_cannot_be_said_is_told_and_most_of_it_is_refused(tmp_path: Path) -> None:
    good, bad = post("Anna left", (0, 4)), post("Anna left", (0, 2))
    dataset = load_split(write(tmp_path, good, good, bad), missing_image="keep")
    assert "1 of 3 gold mentions can be said by no answer" in dataset.notes[0]
    assert "post '2' 0:2 'An' in 'Anna left'" in dataset.notes[0]
    with pytest.raises(DataError, match=r"2 of 3 gold mentions .* are the offsets those of tokens or bytes"):
        load_split(write(tmp_path, good, bad, bad), missing_image="keep")


def test_types_that_differ_in_case_are_told(tmp_path: Path) -> None:
    dataset = load_split(write(tmp_path, post("Anna", (0, 4)), post("Bo", (0, 2), label="per")), missing_image="keep")
    assert "differ in case alone are different types: PER (1 mentions), per (1 mentions)" in dataset.notes[0]


def test_types_with_a_confidence_behind_them_are_refused(tmp_path: Path) -> None:
    posts = (post("Anna", (0, 4), label="PER:0.93"), post("Bo", (0, 2), label="PER(81%)"), post("Cy", (0, 2)))
    with pytest.raises(DataError, match=r"2 mentions have no type, the first is 'PER\(81%\)': a number stands behind"):
        load_split(write(tmp_path, *posts), missing_image="keep")
    load_split(write(tmp_path, post("Anna", (0, 4), label="GPE-2")), missing_image="keep")


def test_types_of_signs_alone_are_not_called_alike(tmp_path: Path) -> None:
    posts = [post("Anna", (0, 4), label=label) for label in ("-", "~", "😀", "😁", "A B", "a-b")]
    [note] = load_split(write(tmp_path, *posts), missing_image="keep").notes
    assert "differ in case, spaces or spelling alone are different types: A B (1 mentions), a-b (1 mentions)" in note


def test_boxes_in_shares_of_the_picture_are_refused(tmp_path: Path) -> None:
    boxes = [{"image": 0, "box": [0.1, 0.2, 0.5, 1.0]}]
    with pytest.raises(DataError, match=r"1 of 1 boxes lie in 0\.\.1, the first is \[0\.1, 0\.2"):
        load_split(write(tmp_path, post("Anna", (0, 4), boxes=boxes)), missing_image="keep")


def test_ends_that_are_inclusive_are_refused(tmp_path: Path) -> None:
    entities = [{"start": 0, "end": 8, "label": "PER"}, {"start": 18, "end": 21, "label": "LOC"}]
    data = write(tmp_path, {"text": "Anna Bell flew to Oslo", "entities": entities})
    with pytest.raises(DataError, match=r"2 of 2 mentions without a text cut a word by its last character.*--offsets"):
        load_split(data)


def test_nothing_to_check() -> None:
    result = GoldCheck("a").result()
    assert (result.problems, result.unsayable, result.notes, result.lines()) == ((), None, (), ())


def test_an_export_of_another_tool_is_sent_to_import(tmp_path: Path) -> None:
    foreign = write(tmp_path, {"content": "Anna", "spans": []}, {"content": "Bo", "spans": []})
    with pytest.raises(DataError, match=rf"another tool: instruct-mner import {foreign} -o posts\.jsonl$"):
        load_split(foreign)
    with pytest.raises(DataError) as error:
        load_split(write(tmp_path, {"text": "Anna", "entites": []}))
    assert "instruct-mner import" not in str(error.value)


def test_problems_are_grouped_by_cause() -> None:
    lines = group_problems([*(f"a:{n}: token {n!r} is bad" for n in range(34_826)), "a:3: text: is needed"])
    assert lines[:3] == ["a:0: token 0 is bad", "a:1: token 1 is bad", "a:2: token 2 is bad"]
    assert lines[3:] == ["… and 34,823 more of the same cause, 34,826 in all", "a:3: text: is needed"]


def test_content_has_no_order_and_no_format() -> None:
    one, two = Example(id="1", text="a", entities=()), Example(id="2", text="b", images=("x.jpg",))
    assert hash_content([one, two]) == hash_content([two, one.model_copy(update={"tokens": ("a",)})])
    assert hash_content([one]) != hash_content([one.model_copy(update={"entities": None})])
    assert hash_content([one]) != hash_content([one.model_copy(update={"id": "3"})])
