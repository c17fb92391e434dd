from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from instruct_mner.data.gmner import parse_boxes
from instruct_mner.data.loading import load, load_split, read
from instruct_mner.schema.records import Box, Entity

TEXT = "IMGID:7\nAnn\tB-PER\nLee\tI-PER\nmet\tO\nann\tB-PER\nlee\tI-PER\nand\tO\nAnn\tB-PER\nLee\tI-PER\n"


def xml(*objects: tuple[str, int, int, int, int], size: tuple[int, int] = (100, 50), head: str = "") -> str:
    body = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax>"
        "</bndbox></object>"
        for name, a, b, c, d in objects
    )
    width, height = size
    return (
        f"{head}<annotation><filename>7_region.jpg</filename><size><width>{width}</width>"
        f"<height>{height}</height></size>{body}</annotation>"
    )


def write(tmp_path: Path, text: str = TEXT, **annotations: str) -> Path:
    (tmp_path / "txt").mkdir(exist_ok=True)
    (tmp_path / "xml").mkdir(exist_ok=True)
    (tmp_path / "txt" / "test.txt").write_text(text)
    for name, content in annotations.items():
        (tmp_path / "xml" / f"{name.removeprefix('p')}.xml").write_text(content)
    return tmp_path


def gold(folder: Path) -> tuple[Entity, ...]:
    return load_split(str(folder), missing_image="keep").examples[0].gold


def test_every_mention_gets_all_boxes_of_its_name(tmp_path: Path) -> None:
    entities = gold(write(tmp_path, p7=xml(("Ann Lee", 1, 2, 30, 40), ("Ann Lee", 50, 0, 100, 50))))
    boxes = (Box(box=(1, 2, 30, 40)), Box(box=(50, 0, 100, 50)))
    assert [entity.boxes for entity in entities] == [boxes, boxes, boxes]


def test_the_exact_name_comes_before_the_folded_one(tmp_path: Path) -> None:
    entities = gold(write(tmp_path, p7=xml(("Ann Lee", 1, 2, 3, 4), ("ann lee", 5, 6, 7, 8))))
    assert [entity.boxes for entity in entities] == [
        (Box(box=(1, 2, 3, 4)),), (Box(box=(5, 6, 7, 8)),), (Box(box=(1, 2, 3, 4)),),
    ]  # fmt: skip


def test_a_name_in_a_spelling_of_no_mention_loses_no_box(tmp_path: Path) -> None:
    entities = gold(write(tmp_path, p7=xml(("Ann Lee", 1, 2, 3, 4), ("ANN LEE", 5, 6, 7, 8))))
    both = (Box(box=(1, 2, 3, 4)), Box(box=(5, 6, 7, 8)))
    assert [entity.boxes for entity in entities] == [both, both, both]


def test_case_and_spaces_are_ignored_at_last(tmp_path: Path) -> None:
    entities = gold(write(tmp_path, p7=xml(("ANNLEE", 1, 2, 3, 4))))
    assert all(entity.boxes == (Box(box=(1, 2, 3, 4)),) for entity in entities)


def test_without_xml_nothing_is_visible(tmp_path: Path) -> None:
    assert [entity.boxes for entity in gold(write(tmp_path, p7=xml()))] == [(), (), ()]
    (tmp_path / "xml" / "7.xml").unlink()
    other = write(tmp_path, TEXT + "\nIMGID:8\nAnn\tB-PER\n", p8=xml(("Ann", 1, 2, 3, 4)))
    assert [entity.boxes for entity in gold(other)] == [(), (), ()]


def test_xml_files_of_no_post_are_not_taken_for_invisible(tmp_path: Path) -> None:
    for folder in (write(tmp_path), write(tmp_path, p7_region=xml(("Ann Lee", 1, 2, 3, 4)))):
        [reading] = read(str(folder)).values()
        assert "no XML file belongs to any of the 1 posts (looked for: 7.xml)" in reading.problems[0]


@pytest.mark.parametrize(
    ("content", "boxes"),
    [
        (xml(("Ann Lee", 1, 2, 3, 4)).replace("annotation>", "annotations>"), 1),
        (xml(("Ann Lee", 1, 2, 3, 4)).replace("<annotation>", '<annotation xmlns="urn:x">'), 1),
        (
            xml(("Ann Lee", 1, 2, 3, 4))
            .replace("<object>", "<objects><object>")
            .replace("</object>", "</object></objects>"),
            1,
        ),
    ],
    ids=["root", "namespace", "nested"],
)
def test_other_layouts_of_xml_are_read(tmp_path: Path, content: str, boxes: int) -> None:
    assert [len(entity.boxes or ()) for entity in gold(write(tmp_path, p7=content))] == [boxes] * 3


@pytest.mark.parametrize(
    "content",
    [
        xml(("Ann Lee", 1, 2, 3, 4)).replace("object>", "region>"),
        "<annotation><region><name>Ann Lee</name></region></annotation>",
        "<coco><images/></coco>",
        "<annotation><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></annotation>",
    ],
)
def test_xml_of_another_layout_is_not_taken_for_invisible(tmp_path: Path, content: str) -> None:
    [reading] = read(str(write(tmp_path, p7=content))).values()
    assert "save" in reading.problems[0]
    assert "Pascal VOC" in reading.problems[0]


def test_a_size_that_is_not_that_of_the_picture_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, p7=xml(("Ann Lee", 1, 2, 3, 4)))
    (folder / "images").mkdir()
    for size, wrong in (((100, 50), False), ((50, 100), True), ((200, 100), True)):
        Image.new("RGB", size).save(folder / "images" / "7.jpg")
        [reading] = read(str(folder)).values()
        assert any("its size of 100 x 50 is not that of 7.jpg" in problem for problem in reading.problems) == wrong


def test_boxes_in_shares_of_the_picture_are_refused(tmp_path: Path) -> None:
    shares = xml(("Ann Lee", 1, 2, 3, 4)).replace(">1<", ">0.1<").replace(">2<", ">0.2<")
    shares = shares.replace(">3<", ">0.6<").replace(">4<", ">0.8<")
    [reading] = read(str(write(tmp_path, p7=shares))).values()
    assert "lies in 0..1, boxes are pixels" in reading.problems[0]


def test_the_hash_covers_the_boxes(tmp_path: Path) -> None:
    one = load_split(str(write(tmp_path, p7=xml(("Ann Lee", 1, 2, 3, 4)))), missing_image="keep").sha256
    two = load_split(str(write(tmp_path, p7=xml(("Ann Lee", 1, 2, 3, 5)))), missing_image="keep").sha256
    assert one != two


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("<annotation>", "not well-formed XML"),
        ("", "not well-formed XML"),
        (
            xml(("Ann Lee", 30, 2, 1, 40)),
            "object 'Ann Lee': box [30, 2, 1, 40] is inverted, empty or negative",
        ),
        (xml(("Ann Lee", 1, 2, 1, 40)), "inverted, empty or negative"),
        (xml(("Ann Lee", -1, 2, 1, 40)), "inverted, empty or negative"),
        (xml(("Ann Lee", 1, 2, 101, 40)), "lies outside of its picture of 100 x 50 pixels"),
        (xml(("Ann Lee", 1, 2, 30, 51)), "lies outside of its picture of 100 x 50 pixels"),
        (xml(("Bob", 1, 2, 30, 40)), "object 'Bob' is no entity of the post in line 1"),
        (xml(("", 1, 2, 30, 40)), "an object has no name"),
        (xml(("Ann Lee", 1, 2, 30, 40)).replace(">30<", ">wide<"), "xmax is 'wide', not a number"),
        (xml(("Ann Lee", 1, 2, 30, 40)).replace(">30<", ">nan<"), "xmax is 'nan', not a number"),
        (xml(("Ann Lee", 1, 2, 30, 40)).replace(">30<", ">inf<"), "xmax is 'inf', not a number"),
        ("<a><object><name>Ann Lee</name></object></a>", "object 'Ann Lee' has no bndbox"),
    ],
)
def test_what_is_wrong_in_an_xml_file(tmp_path: Path, content: str, reason: str) -> None:
    folder = write(tmp_path, p7=content)
    [reading] = read(str(folder)).values()
    assert reading.problems[0].startswith(f"{folder / 'xml' / '7.xml'}: ")
    assert reason in reading.problems[0]


def test_an_unknown_size_is_not_held_against_a_box(tmp_path: Path) -> None:
    [entity, *_] = gold(write(tmp_path, p7=xml(("Ann Lee", 1, 2, 101, 51), size=(0, 0))))
    assert entity.boxes == (Box(box=(1, 2, 101, 51)),)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_document_types_are_refused(encoding: str) -> None:
    entities = '<!DOCTYPE a [<!ENTITY b "boom"><!ENTITY c "&b;&b;">]>'
    bomb = f"{entities}<annotation><object><name>&c;</name></object></annotation>"
    boxes, _, reasons = parse_boxes(f'<?xml version="1.0" encoding="{encoding}"?>{bomb}'.encode(encoding))
    assert boxes == {}
    assert len(reasons) == 1
    assert "document type" in reasons[0]


def test_a_lost_xml_folder_is_not_taken_for_invisible(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "xml").rmdir()
    [reading] = read(f"gmner:{folder}").values()
    assert "xml: there is no such folder" in reading.problems[0]


def test_one_file_of_a_folder(tmp_path: Path) -> None:
    folder = write(tmp_path, p7=xml(("Ann Lee", 1, 2, 30, 40)))
    named = load_split(f"gmner:{folder / 'txt' / 'test.txt'}", missing_image="keep")
    assert named == load_split(str(folder / "txt" / "test.txt"), missing_image="keep")
    assert named == load(str(folder), missing_image="keep")["test"]
    assert (named.name, named.format) == (f"{folder.name}/test", "gmner")
    assert load_split(f"conll:{folder / 'txt' / 'test.txt'}", missing_image="keep").examples[0].gold[0].boxes is None
