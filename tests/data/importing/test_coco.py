"""COCO whose pictures carry the texts of their posts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from instruct_mner.data.importing.coco import of_content
from instruct_mner.data.importing.run import import_file
from instruct_mner.data.importing.writing import ImportOptions
from instruct_mner.data.loading import load_split
from instruct_mner.errors import DataError

CONTENT: dict[str, Any] = {
    "images": [
        {"id": 1, "file_name": "7.jpg", "text": "Anna left", "post": "17", "index": 0},
        {"id": 2, "file_name": "8.jpg", "text": "Anna left", "post": "17", "index": 1},
        {"id": 3, "file_name": "9.jpg", "caption": "nothing"},
    ],
    "categories": [{"id": 1, "name": "PER"}],
    "annotations": [
        {"image_id": 2, "category_id": 1, "bbox": [1, 2, 3, 4], "text": "Anna"},
        {"image_id": 1, "category_id": 1, "bbox": [10, 20, 50, 60], "text": "Anna"},
    ],
}


def test_posts_with_their_boxes(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(CONTENT))
    import_file(str(tmp_path / "a.json"), tmp_path / "out.jsonl", ImportOptions())
    first, second = load_split(str(tmp_path / "out.jsonl"), missing_image="keep").examples
    assert (first.id, first.text, first.images) == ("17", "Anna left", ("7.jpg", "8.jpg"))
    assert [[(box.image, box.box) for box in entity.boxes or ()] for entity in first.gold] == [
        [(0, (10, 20, 60, 80)), (1, (1, 2, 4, 6))]
    ]
    assert (second.text, second.entities) == ("nothing", ())


def test_boxes_on_a_picture_of_another_size_are_refused(tmp_path: Path) -> None:
    images = [{**image, "width": 400, "height": 300} for image in CONTENT["images"]]
    (tmp_path / "a.json").write_text(json.dumps({**CONTENT, "images": images}))
    Image.new("RGB", (400, 300)).save(tmp_path / "7.jpg")
    Image.new("RGB", (200, 150)).save(tmp_path / "8.jpg")
    with pytest.raises(DataError, match=r"post '17': boxes on 8\.jpg were drawn on 400 x 300 pixels, and it has 200"):
        import_file(str(tmp_path / "a.json"), tmp_path / "out.jsonl", ImportOptions())
    Image.new("RGB", (400, 300)).save(tmp_path / "8.jpg")
    assert import_file(str(tmp_path / "a.json"), tmp_path / "out.jsonl", ImportOptions()).num_posts == 2


def test_pictures_without_texts_are_told_where_to_go() -> None:
    images = [{"id": 1, "file_name": "7.jpg"}]
    with pytest.raises(ValueError, match="has no 'text'; import the posts, and give them this file"):
        list(of_content({**CONTENT, "images": images, "annotations": []}, "a.json"))
    nameless = [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}]
    with pytest.raises(ValueError, match=r"a box on '7\.jpg' says no mention"):
        list(of_content({**CONTENT, "annotations": nameless}, "a.json"))
