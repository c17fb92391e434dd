from __future__ import annotations

from pathlib import Path

import pytest

from instruct_mner.data.formats import find_files
from instruct_mner.data.loading import load_split, read
from instruct_mner.errors import ConfigError
from instruct_mner.schema.choices import LabelColumn

TEXT = "IMGID:7\nAnn\tB-person\tB-artist\nLee\tI-person\tI-artist\nin\tO\tO\nRome\tB-location\tB-city\n"
XML = (
    "<annotation><object><name>Ann Lee</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax>"
    "</bndbox></object></annotation>"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "tweets"
    path.mkdir()
    (path / "test.txt").write_text(TEXT)
    return path


def with_boxes(folder: Path) -> Path:
    folder.mkdir()
    (folder / "7.xml").write_text(XML)
    return folder


@pytest.mark.parametrize(("column", "labels"), [("coarse", ["person", "location"]), ("fine", ["artist", "city"])])
def test_the_user_chooses_the_column(folder: Path, column: LabelColumn, labels: list[str]) -> None:
    dataset = load_split(str(folder), missing_image="keep", label_column=column)
    [example] = dataset.examples
    assert (dataset.name, dataset.format, example.text) == ("tweets/test", f"fmnerg-{column}", "Ann Lee in Rome")
    assert [(entity.text, entity.label, entity.boxes) for entity in example.gold] == [
        ("Ann Lee", labels[0], None),
        ("Rome", labels[1], None),
    ]


def test_two_readings_of_one_file_are_told_apart_and_known_for_one_file(folder: Path) -> None:
    coarse = load_split(str(folder), missing_image="keep", label_column="coarse")
    fine = load_split(str(folder), missing_image="keep")
    assert coarse.sha256 != fine.sha256
    assert coarse.file_sha256 == fine.file_sha256


@pytest.mark.parametrize("place", ["tweets/xml", "elsewhere"])
def test_boxes_come_from_xml(tmp_path: Path, folder: Path, place: str) -> None:
    chosen = with_boxes(tmp_path / place)
    xml = None if place.endswith("xml") else chosen
    dataset = load_split(f"fmnerg:{folder}", missing_image="keep", xml=xml)
    assert [len(entity.boxes or ()) for entity in dataset.examples[0].gold] == [1, 0]
    assert dataset.examples[0].gold[1].boxes == ()


def test_the_folder_of_gmner_will_do(tmp_path: Path) -> None:
    (tmp_path / "txt").mkdir()
    (tmp_path / "txt" / "test.txt").write_text(TEXT)
    with_boxes(tmp_path / "xml")
    assert find_files(str(tmp_path / "txt"))[0] == "fmnerg"
    dataset = load_split(str(tmp_path / "txt"), missing_image="keep")
    assert dataset.name == f"{tmp_path.name}/test"
    assert dataset.examples[0].gold[0].boxes


def test_a_folder_of_boxes_that_is_not_there(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"--xml .*nowhere: there is no such folder"):
        load_split(str(folder), xml=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("Ann\tB-person\n", "expected TOKEN<TAB>COARSE<TAB>FINE, found 2 column(s): 'Ann\\tB-person'"),
        ("Ann\tB-person\tartist\n", "tag 'artist' of token 'Ann' is none of O, B-<type>, I-<type>"),
        ("Ann\tB-person\t\n", "tag '' of token 'Ann'"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, row: str, reason: str) -> None:
    path = tmp_path / "test.txt"
    path.write_text(TEXT + row)
    [reading] = read(f"fmnerg:{path}").values()
    assert reading.problems[0].startswith(f"{path}:6: {reason}")
