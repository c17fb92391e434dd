"""Boxes from other tools: COCO, CVAT and Pascal VOC, given to the mentions that they show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from instruct_mner.data.importing.regions import of_coco, parse_xml, read_regions
from instruct_mner.data.importing.run import import_file
from instruct_mner.data.importing.writing import ImportOptions
from instruct_mner.data.loading import load_split
from instruct_mner.errors import DataError
from instruct_mner.schema.records import Entity, Example

TEXT = "Anna met Eve in Oslo"
COCO = {
    "images": [{"id": 1, "file_name": "pics/7.jpg"}, {"id": 2, "file_name": "8.jpg"}],
    "categories": [{"id": 3, "name": "PER"}, {"id": 4, "name": "LOC"}],
    "annotations": [
        {"image_id": 1, "category_id": 3, "bbox": [10, 20, 50, 60], "text": "Anna"},
        {"image_id": 1, "category_id": 4, "bbox": [1, 2, 3, 4]},
    ],
}
CVAT = """<?xml version="1.0"?><annotations><version>1.1</version>
<image id="0" name="pics/7.jpg" width="99" height="99">
<box label="PER" occluded="0" xtl="10.0" ytl="20" xbr="60" ybr="80"><attribute name="text">Anna</attribute></box>
<box label="LOC" xtl="1" ytl="2" xbr="4" ybr="6"/></image><image id="1" name="8.jpg"/></annotations>"""
VOC = """<annotation><filename>7.jpg</filename>
<object><name>anna</name><bndbox><xmin>10</xmin><ymin>20</ymin><xmax>60</xmax><ymax>80</ymax></bndbox></object>
<object><name>LOC</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>4</xmax><ymax>6</ymax></bndbox></object></annotation>"""


def post(*spans: tuple[str, str], images: tuple[str, ...] = ("7.jpg",)) -> Example:
    entities = tuple(
        Entity(start=TEXT.index(text), end=TEXT.index(text) + len(text), text=text, label=label)
        for text, label in spans
    )
    return Example(id="1", text=TEXT, images=images, entities=entities)


def boxes_of(example: Example) -> list[list[tuple[float, ...]] | None]:
    return [None if entity.boxes is None else [box.box for box in entity.boxes] for entity in example.gold]


@pytest.fixture(params=["coco.json", "cvat.xml", "voc"])
def drawn(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / str(request.param)
    if path.name == "voc":
        path.mkdir()
        (path / "7.xml").write_text(VOC)
        (path / "8.xml").write_text("<annotation><filename>8.jpg</filename></annotation>")
    else:
        path.write_text(json.dumps(COCO) if path.suffix == ".json" else CVAT)
    return path


def test_the_same_boxes_of_every_tool(drawn: Path) -> None:
    regions = read_regions(drawn)
    got = regions.given_to(post(("Anna", "PER"), ("Eve", "PER"), ("Oslo", "LOC")))
    assert boxes_of(got) == [[(10, 20, 60, 80)], None, [(1, 2, 4, 6)]]
    assert regions.num_given == 2
    assert "no post has 1 of its 2 pictures" in regions.lines()[1]


def test_posts_get_them_in_an_import(drawn: Path, tmp_path: Path) -> None:
    row = {"text": TEXT, "images": ["7.jpg"], "entities": [{"start": 0, "end": 4, "label": "PER"},
                                                           {"start": 16, "end": 20, "label": "LOC"}]}  # fmt: skip
    (tmp_path / "posts.jsonl").write_text(json.dumps(row) + "\n")
    options = ImportOptions(boxes=read_regions(drawn))
    result = import_file(str(tmp_path / "posts.jsonl"), tmp_path / "out.jsonl", options)
    [read] = load_split(str(tmp_path / "out.jsonl"), missing_image="keep").examples
    assert boxes_of(read) == [[(10, 20, 60, 80)], [(1, 2, 4, 6)]]
    assert any("2 boxes were given to mentions" in note for note in result.notes)


def test_whose_a_box_is_must_be_known(drawn: Path) -> None:
    with pytest.raises(ValueError, match=r"to which of 0 mentions a box|'Anna', which is no mention"):
        read_regions(drawn).given_to(post(("Eve", "PER")))
    with pytest.raises(ValueError, match="to which of 2 mentions a box called 'LOC' belongs"):
        read_regions(drawn).given_to(post(("Anna", "PER"), ("Eve", "LOC"), ("Oslo", "LOC")))


def test_a_file_of_other_pictures_is_a_problem(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "posts.jsonl").write_text(json.dumps({"text": TEXT, "images": ["9.jpg"], "entities": []}) + "\n")
    with pytest.raises(DataError, match="no post has any of its 2 pictures"):
        import_file(str(tmp_path / "posts.jsonl"), tmp_path / "out.jsonl", ImportOptions(boxes=read_regions(drawn)))
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"images": []}', "it needs 'images' and 'annotations'"),
        (json.dumps({**COCO, "annotations": [{"image_id": 1, "bbox": [1, 2, 0, 4]}]}), "is inverted, empty"),
        (json.dumps({**COCO, "annotations": [{"image_id": 5, "bbox": [1, 2, 3, 4]}]}), "is not listed"),
        (json.dumps({**COCO, "annotations": [{"bbox": [1, 2, 3, 4]}]}), "a field that is missing"),
        ("no", "Expecting value"),
    ],
)
def test_what_is_no_coco(content: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DataError, match=reason):
        read_regions(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("<annotations><track/></annotations>", "export 'CVAT for images 1.1'"),
        ('<annotations><image name="a"><polygon/></image></annotations>', "a <polygon> on a is no box"),
        ('<annotations><image name="a"><box label="X" rotation="3"/></image></annotations>', "is rotated"),
        ('<annotations><image name="a"><box label="X" xtl="1"/></image></annotations>', "a field that is missing"),
        ("<!DOCTYPE a><annotations/>", "a document type"),
        ("<a", "not well-formed"),
    ],
)
def test_what_is_no_cvat(content: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(content)
    with pytest.raises(DataError, match=reason):
        read_regions(tmp_path / "a.xml")


def test_a_folder_without_boxes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no XML file in the folder"):
        read_regions(tmp_path)


def test_pieces() -> None:
    assert of_coco({"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 1, "caption": "x"}]}) == {
        "a": []
    }
    assert parse_xml(b"<a><b/></a>")[0].tag == "b"
