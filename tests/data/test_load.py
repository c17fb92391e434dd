from __future__ import annotations

import json
from pathlib import Path

import pytest

from instruct_mner.data.formats import find_files
from instruct_mner.data.loading import load, load_split
from instruct_mner.errors import ConfigError, DataError
from instruct_mner.schema.choices import MissingImage

POST = "IMGID:{}\nAnn\tB-PER\n\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "tweets"
    path.mkdir()
    for name, number in (("test", 3), ("valid", 2), ("train", 1)):
        (path / f"{name}.txt").write_text(POST.format(number))
    return path


def test_splits_come_in_order_and_valid_is_dev(folder: Path) -> None:
    splits = load(str(folder), missing_image="keep")
    assert list(splits) == ["train", "dev", "test"]
    assert [dataset.name for dataset in splits.values()] == ["tweets/train", "tweets/dev", "tweets/test"]
    assert [dataset.examples[0].id for dataset in splits.values()] == ["1", "2", "3"]
    assert list(load(str(folder / "valid.txt"), missing_image="keep")) == ["valid"]


@pytest.mark.parametrize("name", ["dev", "valid", "val", "validation"])
def test_a_dev_split_is_found_under_each_of_its_names(folder: Path, name: str) -> None:
    (folder / "valid.txt").rename(folder / f"{name}.txt")
    splits = load(str(folder), missing_image="keep")
    assert [dataset.name for dataset in splits.values()] == ["tweets/train", "tweets/dev", "tweets/test"]


def test_files_that_are_no_split_are_named(folder: Path) -> None:
    (folder / "extra.txt").write_text(POST.format(4))
    (folder / "LICENSE").touch()
    splits = load(str(folder), missing_image="keep")
    [note] = splits["train"].notes
    assert "extra.txt is not read, train.txt, valid.txt, test.txt is; splits are called train|dev|valid|val|" in note
    assert splits["test"].notes == ()


def test_one_split_is_asked_for_by_its_file(folder: Path) -> None:
    assert load_split(f"conll:{folder}/test.txt", missing_image="keep").examples[0].id == "3"
    with pytest.raises(ConfigError, match=r"several splits.*conll:.*train\.txt"):
        load_split(str(folder))


def test_formats_are_told_from_names(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "g" / "txt").mkdir(parents=True)
    (tmp_path / "g" / "xml").mkdir()
    (tmp_path / "g" / "txt" / "dev.txt").write_text(POST.format(1))
    (tmp_path / "j").mkdir()
    (tmp_path / "j" / "dev.jsonl").write_text('{"id": "1", "text": "a"}\n')
    for data, form in ((folder, "conll"), (tmp_path / "g", "gmner"), (tmp_path / "j", "jsonl")):
        assert find_files(str(data))[0] == form
    assert find_files(str(tmp_path / "g" / "txt" / "dev.txt"))[0] == "gmner"


@pytest.mark.parametrize(
    ("data", "error", "reason"),
    [
        ("gmnr:x", ConfigError, "unknown format 'gmnr'; did you mean 'gmner'?; known: conll, gmner, fmnerg"),
        ("nowhere", DataError, "nowhere: there is no such file or folder"),
        ("conll:nowhere", DataError, "nowhere: there is no such file or folder"),
        ("{}/posts.csv", ConfigError, "the format cannot be told from the name"),
        ("{}/empty", DataError, "no split found"),
        ("jsonl:{}/tweets", DataError, "a folder holds train|dev|valid|val|validation|test with .jsonl"),
    ],
)
def test_what_cannot_be_found(tmp_path: Path, folder: Path, data: str, error: type[Exception], reason: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "posts.csv").touch()
    with pytest.raises(error) as raised:
        load(data.format(tmp_path))
    assert reason in str(raised.value)


def test_ambiguous_folders_are_refused(folder: Path) -> None:
    (folder / "dev.txt").write_text(POST.format(2))
    with pytest.raises(ConfigError, match=r"dev\.txt and valid\.txt are both its dev"):
        load(str(folder))
    (folder / "valid.txt").unlink()
    (folder / "train.jsonl").write_text('{"id": "1", "text": "a"}\n')
    with pytest.raises(ConfigError, match=r"several formats; write one of conll:.*, jsonl:"):
        load(str(folder))
    assert list(load(f"jsonl:{folder}")) == ["train"]


@pytest.mark.parametrize("place", ["tweets/images", "tweets/tweets_images", "tweets_images"])
@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".png"])
def test_pictures_are_found_in_the_usual_places(tmp_path: Path, folder: Path, place: str, suffix: str) -> None:
    (tmp_path / place).mkdir()
    picture = tmp_path / place / f"3{suffix}"
    picture.touch()
    dataset = load_split(str(folder / "test.txt"))
    [found] = dataset.picture_paths(dataset.examples[0])
    assert found.samefile(picture)


def test_pictures_are_taken_from_the_folder_that_is_named(tmp_path: Path, folder: Path) -> None:
    (folder / "images").mkdir()
    with pytest.raises(ConfigError, match=r"--images .* \(in a config data\.images\): there is no such folder"):
        load(str(folder), images=tmp_path / "nowhere")
    chosen = tmp_path / "chosen"
    chosen.mkdir()
    (chosen / "3.jpg").touch()
    assert load_split(str(folder / "test.txt"), images=chosen).image_root == chosen


def test_of_a_picture_that_is_all_of_its_bytes_a_message_holds_the_beginning(tmp_path: Path) -> None:
    post = {"id": "1", "text": "Ann", "images": ["data:image/png;base64," + "A" * 9000], "entities": []}
    (tmp_path / "a.jsonl").write_text(json.dumps(post))
    with pytest.raises(DataError, match=r"are missing \(data:image/png;base64,A+…\)") as error:
        load(str(tmp_path / "a.jsonl"))
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    ("how", "images"),
    [("text", [("1.jpg",), ()]), ("skip", [("1.jpg",)]), ("keep", [("1.jpg",), ("2.jpg",)])],
)
def test_missing_pictures(folder: Path, how: MissingImage, images: list[tuple[str, ...]]) -> None:
    (folder / "train.txt").write_text(POST.format(1) + POST.format(2))
    (folder / "images").mkdir()
    (folder / "images" / "1.jpg").touch()
    dataset = load_split(str(folder / "train.txt"), missing_image=how)
    assert [example.images for example in dataset.examples] == images
    assert dataset.missing_images == ("2.jpg",)
    with pytest.raises(DataError, match=r"1 of 2 pictures are missing \(2\.jpg\).*--images DIR.*--missing-image text"):
        load_split(str(folder / "train.txt"))


def test_pictures_without_a_folder_have_no_path(folder: Path) -> None:
    dataset = load_split(str(folder / "train.txt"), missing_image="keep")
    with pytest.raises(DataError, match="no folder of them was found"):
        dataset.picture_paths(dataset.examples[0])
    assert dataset.picture_paths(dataset.examples[0].without_images()) == ()
