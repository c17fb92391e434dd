from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from instruct_mner.data.loading import load, load_split
from instruct_mner.schema.choices import LabelColumn

SETS = [
    ("twitter2015", "fine", "Twitter-2015 (original labels)"),
    ("twitter2015_repaired", "fine", "Twitter-2015 (repaired labels)"),
    ("twitter2017", "fine", "Twitter-2017"),
    ("gmner", "fine", "Twitter-GMNER v2.0"),
    ("fmnerg", "coarse", "FMNERG (coarse labels)"),
    ("fmnerg", "fine", "FMNERG (fine labels)"),
    ("cmner", "fine", "CMNER"),
]


@pytest.mark.parametrize(("folder", "column", "name"), SETS)
def test_published_sets_have_names(shared_data: Path, folder: str, column: LabelColumn, name: str) -> None:
    splits = load(str(shared_data / folder), missing_image="keep", label_column=column)
    assert {split: dataset.known for split, dataset in splits.items()} == {
        split: f"{name}, {split}" for split in ("train", "dev", "test")
    }


def test_the_content_tells_not_the_folder(shared_data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "twitter2015" / "test.txt"
    copy.parent.mkdir()
    shutil.copyfile(shared_data / "twitter2015_repaired" / "test.txt", copy)
    assert load_split(str(copy), missing_image="keep").known == "Twitter-2015 (repaired labels), test"
    copy.chmod(0o644)
    with copy.open("a") as file:
        file.write("\nIMGID:new\na\tO\n")
    assert load_split(str(copy), missing_image="keep").known is None


def test_gmner_is_known_by_its_text_whatever_its_boxes(shared_data: Path, tmp_path: Path) -> None:
    text = shared_data / "gmner" / "txt" / "test.txt"
    assert load_split(f"conll:{text}", missing_image="keep").known == "Twitter-GMNER v2.0 (text), test"
    without_boxes = load_split(f"gmner:{text}", missing_image="keep", xml=tmp_path)
    assert without_boxes.known == "Twitter-GMNER v2.0 (text), test"
    assert all(entity.boxes == () for example in without_boxes.examples for entity in example.gold)


def test_fmnerg_with_the_boxes_of_gmner(shared_data: Path) -> None:
    data = f"fmnerg:{shared_data / 'fmnerg' / 'test.txt'}"
    dataset = load_split(data, missing_image="keep", xml=shared_data / "gmner" / "xml")
    assert dataset.known == "FMNERG (fine labels, GMNER boxes), test"
    assert sum(bool(entity.boxes) for example in dataset.examples for entity in example.gold) == 1049
