"""Boxes from other tools: COCO, CVAT and Pascal VOC, given to the mentions that they show."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from instruct_mner.data.importing.region_files import of_coco, parse_xml, read_regions
from instruct_mner.data.importing.regions import PictureRegions
from instruct_mner.data.importing.run import import_file
from instruct_mner.data.importing.writing import ImportOptions
from instruct_mner.data.loading import load_split
from instruct_mner.errors import DataError
from instruct_mner.schema.records import Entity, Example

TEXT = "Anna met Eve in Oslo"
COCO: dict[str, Any] = {
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


def sized(kind: str, folder: Path, size: tuple[int, int] | None) -> Path:
    """Write one box, ``[10, 20, 60, 80]`` of Anna, as a tool writes it that says a size of the picture, or none."""
    width, height = size or (0, 0)
    path = folder / kind
    if kind == "voc":
        path.mkdir()
        said = f"<size><width>{width}</width><height>{height}</height></size>" if size else ""
        bndbox = "<bndbox><xmin>10</xmin><ymin>20</ymin><xmax>60</xmax><ymax>80</ymax></bndbox>"
        (path / "7.xml").write_text(f"<annotation>{said}<object><name>Anna</name>{bndbox}</object></annotation>")
    elif kind == "coco.json":
        image = {"id": 1, "file_name": "7.png", **({"width": width, "height": height} if size else {})}
        path.write_text(json.dumps({**COCO, "images": [image], "annotations": [COCO["annotations"][0]]}))
    else:
        said = f'width="{width}" height="{height}"' if size else ""
        box = '<box label="PER" xtl="10" ytl="20" xbr="60" ybr="80"/>'
        path.write_text(f'<annotations><image name="7.png" {said}>{box}</image></annotations>')
    return path


@pytest.mark.parametrize("kind", ["coco.json", "cvat.xml", "voc"])
@pytest.mark.parametrize(
    ("said", "real", "reason"),
    [
        ((100, 90), (100, 90), None),
        (None, (100, 90), None),
        ((200, 180), None, None),
        ((200, 180), (100, 90), "boxes on 7.png were drawn on 200 x 180 pixels, and it has 100 x 90 when upright"),
        ((90, 100), (100, 90), "boxes on 7.png were drawn on 90 x 100 pixels"),
        (None, (50, 90), "box [10, 20, 60, 80] lies outside of 7.png, 50 x 90 pixels"),
        ((50, 90), None, "box [10, 20, 60, 80] lies outside of its picture"),
    ],
)
def test_boxes_fit_their_picture(
    kind: str, said: tuple[int, int] | None, real: tuple[int, int] | None, reason: str | None, tmp_path: Path
) -> None:
    (tmp_path / "pics").mkdir()
    if real is not None:
        Image.new("RGB", real).save(tmp_path / "pics" / "7.png")
    row = {"text": TEXT, "images": ["7.png"], "entities": [{"start": 0, "end": 4, "label": "PER"}]}
    (tmp_path / "posts.jsonl").write_text(json.dumps(row) + "\n")
    file, out = sized(kind, tmp_path, said), tmp_path / "out.jsonl"

    def run() -> None:
        options = ImportOptions(boxes=read_regions(file), images=tmp_path / "pics")
        import_file(str(tmp_path / "posts.jsonl"), out, options)

    if reason is None:
        run()
        [read] = load_split(str(out), missing_image="keep").examples
        assert boxes_of(read) == [[(10, 20, 60, 80)]]
        return
    with pytest.raises(DataError, match=re.escape(reason)) as raised:
        run()
    assert "7" in str(raised.value)
    assert not out.exists()


def test_pictures_that_cannot_be_opened_are_left_to_validate(tmp_path: Path) -> None:
    (tmp_path / "7.png").write_bytes(b"no picture")
    regions = read_regions(sized("coco.json", tmp_path, (200, 180)))
    got = regions.given_to(post(("Anna", "PER"), images=("7.png",)), lambda name: tmp_path / name)
    assert boxes_of(got) == [[(10, 20, 60, 80)]]


@pytest.mark.parametrize("surface", [{"text": "Anna"}, {"attributes": {"occluded": False, "text": "Anna"}}])
def test_the_mention_of_coco_stands_in_the_annotation_or_its_attributes(
    surface: dict[str, Any], tmp_path: Path
) -> None:
    annotation = {"image_id": 1, "category_id": 3, "bbox": [10, 20, 50, 60], **surface}
    (tmp_path / "a.json").write_text(json.dumps({**COCO, "annotations": [annotation]}))
    got = read_regions(tmp_path / "a.json").given_to(post(("Anna", "PER"), ("Eve", "PER")))
    assert boxes_of(got) == [[(10, 20, 60, 80)], None]


def test_a_sum_of_floats_is_not_outside() -> None:
    """0.1 + 0.2 is above 0.3, and a box that ends with its picture is inside of it."""
    images = [{"id": 1, "file_name": "a", "width": 0.3, "height": 9}]
    content = {"images": images, "annotations": [{"image_id": 1, "bbox": [0.1, 0, 0.2, 9]}]}
    assert of_coco(content)["a"].regions[0].box == (0.1, 0, 0.3, 9)


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
        (
            json.dumps({**COCO, "annotations": [{"image_id": 1, "bbox": "x"}]}),
            r"annotation 1, on pics/7\.jpg: 'bbox' is 'x', not \[x, y, width, height\]",
        ),
        (json.dumps({**COCO, "annotations": [{"image_id": 1, "bbox": [1, 2, "3", 4]}]}), "not .x, y, width, height"),
        (
            json.dumps({**COCO, "annotations": [{"image_id": 1, "segmentation": [[1, 1, 2, 2, 3, 1]]}]}),
            r"annotation 1, on pics/7\.jpg has no 'bbox' but a 'segmentation'; draw a box, or take it out",
        ),
        (json.dumps({**COCO, "annotations": [{"image_id": 1}]}), "has no 'bbox' but nothing"),
        (
            json.dumps(
                {**COCO, "annotations": [{"image_id": 1, "bbox": [1, 2, 3, 4], "attributes": {"rotation": 5.5}}]}
            ),
            "is rotated by 5.5",
        ),
        (json.dumps({**COCO, "annotations": ["x"]}), "'annotations' is no list of objects"),
        (
            json.dumps({**COCO, "images": [{"id": 1, "file_name": "a", "width": "x", "height": 3}]}),
            "picture a: 'x' x 3 is no width and height",
        ),
        (
            json.dumps({**COCO, "images": [{"id": n, "file_name": "a", "width": n, "height": 3} for n in (1, 2)]}),
            "picture a stands there twice, with two sizes",
        ),
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
        "a": PictureRegions()
    }
    assert parse_xml(b"<a><b/></a>")[0].tag == "b"
