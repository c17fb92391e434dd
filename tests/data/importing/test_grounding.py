"""Boxes of ms-swift's ``objects``."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from instruct_mner.data.importing.chat import of_chat
from instruct_mner.data.importing.grounding import Grounded, filled, objects_of, with_boxes
from instruct_mner.data.importing.posts import Mark
from instruct_mner.schema.records import Box

BOX = Box(box=(10, 20, 60, 80))
NAMED = json.dumps([{"text": "Anna", "label": "PER"}])


def row(objects: Any, answer: str = NAMED) -> dict[str, Any]:
    messages = [{"role": "user", "content": "<image>Post: Anna left"}, {"role": "assistant", "content": answer}]
    return {"messages": messages, "images": ["7.jpg"], "objects": objects}


@pytest.mark.parametrize(
    ("objects", "answer"),
    [
        ({"ref": ["Anna"], "bbox": [[10, 20, 60, 80]]}, NAMED),
        ({"ref": ["Anna"], "bbox": [[10, 20, 60, 80]], "bbox_type": "real", "image_id": [0]}, NAMED),
        ('[{"caption": "Anna", "bbox": [10, 20, 60, 80], "bbox_type": "real", "image": 0}]', NAMED),
        ({"ref": [], "bbox": [[10, 20, 60, 80]]}, '[{"text": "Anna", "label": "PER", "box": <bbox>}]'),
        ({"ref": ["Anna"], "bbox": [[10, 20, 60, 80]]}, '[{"text": "<ref-object>", "label": "PER", "boxes": <bbox>}]'),
    ],
)
def test_the_same_box_of_every_form(objects: Any, answer: str) -> None:
    [post] = of_chat(row(objects, answer), "f:1", "Post: ", Counter())
    assert post.marks == (Mark(start=None, end=None, surface="Anna", label="PER", boxes=(BOX,)),)


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        ({"ref": ["Bob"], "bbox": [[10, 20, 60, 80]]}, "the box of 'Bob' in 'objects' belongs to no mention"),
        ({"ref": ["Anna"], "bbox": [[0.1, 0.2, 0.3, 0.4]], "bbox_type": "norm1"}, "of the type norm1"),
        ({"ref": ["Anna"], "bbox": [[1, 2]]}, "is no"),
        ({"ref": ["Anna", "Bob"], "bbox": [[10, 20, 60, 80]]}, "2 names"),
        ([3], "'objects' is no"),
    ],
)
def test_what_is_refused(objects: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        of_chat(row(objects), "f:1", "Post: ", Counter())


def test_pieces() -> None:
    assert objects_of({}) == []
    turns = [("user", "<bbox> and <bbox>")]
    assert filled(turns, []) == turns
    [(_, message)] = filled(turns, [Grounded(None, BOX)])
    assert message.endswith("and <bbox>")
    assert with_boxes((), []) == ()
