"""Pictures of imported posts: in the folder, in one of its subfolders, or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from instruct_mner.data.importing.picture_names import FileNames, PictureNamer


def test_the_only_one_of_its_name_is_found_in_a_subfolder(tmp_path: Path) -> None:
    for name in ("a/7.jpg", "a/b/8.png", "a/9.jpg", "b/9.jpg", "10.JPG", "c/10.jpg"):
        (tmp_path / "pics" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pics" / name).touch()
    pictures = PictureNamer(tmp_path / "pics", None, tmp_path / "out.jsonl")
    names = [pictures.name(name) for name in ("7.jpg", "8", "elsewhere/7.jpg", "9.jpg", "10", "11.jpg")]
    assert names == ["pics/a/7.jpg", "pics/a/b/8.png", "pics/a/7.jpg", "9.jpg", "pics/10.JPG", "11.jpg"]
    below, missing = pictures.lines("a.csv")
    assert below.startswith("a.csv: 3 of 6 pictures were found in subfolders of")
    assert missing.startswith("a.csv: 2 of 6 pictures are not in")


def test_without_a_folder_of_the_user_no_subfolder_is_looked_through(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "7.jpg").touch()
    pictures = PictureNamer(None, tmp_path, tmp_path / "out.jsonl")
    assert pictures.name("7.jpg") == "7.jpg"
    assert pictures.lines("a.csv") == ["a.csv: 1 of 1 pictures are not there; name their folder with --images DIR"]


def test_broken_links_and_pipes_are_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for folder in (tmp_path, tmp_path / "sub"):
        (folder / "dead.png").symlink_to("nowhere.png")
        os.mkfifo(folder / "pipe.png")
    pictures = PictureNamer(tmp_path, None, tmp_path / "out.jsonl")
    assert [pictures.name(name) for name in ("dead.png", "pipe.png")] == ["dead.png", "pipe.png"]
    assert pictures.lines("a.csv") == [f"a.csv: 2 of 2 pictures are not in {tmp_path}"]


@pytest.mark.parametrize(
    ("picture", "name"),
    [
        ("a/7.jpg", "a/7.jpg"),
        ("https://host/x/7%20a.jpg?size=large", "7 a.jpg"),
        ("https://host/photo?id=17", "photo"),
        ("C:\\pictures\\7.jpg", "7.jpg"),
        ("/data/upload/7-a.png?d=1", "7-a.png"),
        ("file:///home/a/7.jpg", "7.jpg"),
        ("/data/local-files/?d=pics/7.jpg", "pics/7.jpg"),
        ("http://host:8080/data/local-files/?d=pics%2F7%20a.jpg", "pics/7 a.jpg"),
        ("/data/local-files/?d=/home/a/7.jpg", "7.jpg"),
        ("/data/local-files/?d=C:%5Cpics%5C7.jpg", "7.jpg"),
    ],
)
def test_names_of_addresses_and_foreign_paths(picture: str, name: str) -> None:
    names = FileNames()
    assert names.name(picture) == names.name(picture) == name
    lines = names.lines("a.csv")
    assert len(lines) == (picture != name)
    assert all(line.endswith(f" is {name!r}), and nothing is fetched") for line in lines)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://iiif.example/a/1/default.jpg", "https://iiif.example/b/2/default.jpg"),
        ("https://host/photo?id=17", "https://host/photo?id=18"),
        ("C:\\a\\7.jpg", "C:\\b\\7.jpg"),
        ("/home/a/7.jpg", "/home/b/7.jpg"),
    ],
)
def test_two_pictures_never_get_one_name(one: str, other: str) -> None:
    names = FileNames()
    name = names.name(one)
    with pytest.raises(ValueError, match="would both be called") as refused:
        names.name(other)
    assert f"pictures {one!r} and {other!r} would both be called {name!r}; save them" in str(refused.value)


def test_a_signed_address_is_the_same_picture_and_one_without_a_name_is_refused() -> None:
    names = FileNames()
    assert names.name("https://host/7.jpg?signature=a") == names.name("https://host/7.jpg?signature=b") == "7.jpg"
    with pytest.raises(ValueError, match="an address without the name of a file"):
        names.name("https://host/")


def test_the_digits_that_label_studio_puts_before_a_name_are_left_out_where_no_file_has_them(tmp_path: Path) -> None:
    for name in ("7.jpg", "1a2b3c4d-8.jpg", "8.jpg"):
        (tmp_path / name).touch()
    pictures = PictureNamer(tmp_path, None, tmp_path / "out.jsonl")
    names = [pictures.name(f"/data/upload/1/1a2b3c4d-{name}") for name in ("7.jpg", "8.jpg", "9.jpg")]
    assert names == ["7.jpg", "1a2b3c4d-8.jpg", "/data/upload/1/1a2b3c4d-9.jpg"]


def test_pictures_of_local_storage_are_told_apart() -> None:
    names = FileNames()
    paths = ("pics/7.jpg", "pics/8.jpg", "others/7.jpg")
    assert [names.name(f"/data/local-files/?d={path}") for path in paths] == [*paths]
    names.name("/data/local-files/?d=/home/a/9.jpg")
    with pytest.raises(ValueError, match=r"would both be called '9\.jpg'"):
        names.name("/data/local-files/?d=/home/b/9.jpg")
