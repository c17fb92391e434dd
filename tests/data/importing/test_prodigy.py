"""Rows of Prodigy: what was accepted, and one post of several people's answers."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from instruct_mner.data.importing.posts import Fault, RawPost
from instruct_mner.data.importing.prodigy import of_prodigy
from instruct_mner.data.importing.sources import Source


def test_prodigy_gives_what_was_accepted() -> None:
    row = {"text": "Anna", "spans": [{"start": 0, "end": 4, "label": "PER", "token_start": 0}], "answer": "accept"}
    bytes_ = "data:image/png;base64,AA"
    post = of_prodigy({**row, "_task_hash": 1, "source": "x", "image": bytes_}, "f:1", Counter())
    assert post is not None
    [mark] = post.marks or ()
    assert ((mark.start, mark.end, mark.label), post.meta, post.images) == ((0, 4, "PER"), {"source": "x"}, (bytes_,))
    assert of_prodigy({**row, "answer": "ignore"}, "f:1", Counter()) is None
    bare = of_prodigy({"text": "a"}, "f:1", Counter())
    assert bare is not None
    assert bare.marks is None
    with pytest.raises(ValueError, match="the row has no text"):
        of_prodigy({"spans": []}, "f:1", Counter())
    with pytest.raises(ValueError, match="a span is a region of the picture"):
        of_prodigy({"text": "a", "spans": [{"points": [], "width": 3}]}, "f:1", Counter())


def items(folder: Path, *rows: dict[str, Any]) -> tuple[list[Any], list[str]]:
    path = folder / "a.jsonl"
    whole = [{"text": "Anna left", "_input_hash": 7, "answer": "accept", **row} for row in rows]
    path.write_text("\n".join(map(json.dumps, whole)))
    source = Source(path)
    return list(source.items()), source.notes


def test_answers_of_two_people_are_one_post_or_a_question(tmp_path: Path) -> None:
    anna: dict[str, Any] = {"spans": [{"start": 0, "end": 4, "label": "PER"}], "_annotator_id": "ner-anna"}
    same, notes = items(tmp_path, anna, {**anna, "_annotator_id": "ner-bob"}, {**anna, "_input_hash": 8})
    assert [isinstance(each, RawPost) for each in same] == [True, True]
    assert any("left out: 1 row(s) that agree with an earlier one of the same input" in note for note in notes)
    first, second = items(tmp_path, anna, {"spans": [], "_annotator_id": "ner-bob"})[0]
    assert isinstance(first, RawPost)
    assert isinstance(second, Fault)
    assert "annotated by ner-bob otherwise than by ner-anna in" in second.reason
    # An id of its own says that a post is another.
    others = items(tmp_path, {**anna, "id": 1}, {"spans": [], "id": 2})[0]
    assert [isinstance(each, RawPost) for each in others] == [True, True]


def test_a_hash_that_is_no_number_is_no_obstacle(tmp_path: Path) -> None:
    posts, _ = items(tmp_path, {"_input_hash": ["a"], "spans": []}, {"_input_hash": ["b"], "spans": None})
    assert [post.marks for post in posts] == [(), None]
