"""Pictures by their names: with any ending, in any case, whatever the form of their accents."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from instruct_mner.data.missing_pictures import missing_report
from instruct_mner.data.picture_files import find_picture, other_folder, picture_name

ACCENT = "é.jpg"


@pytest.mark.parametrize("suffix", [".JPG", ".jpeg", ".JPEG", ".webp", ".gif", ".bmp", ".png", ".Png"])
@pytest.mark.parametrize("folder", ["", "sub/"])
def test_a_name_in_another_case(suffix: str, folder: str, tmp_path: Path) -> None:
    (tmp_path / folder).mkdir(exist_ok=True)
    path = tmp_path / folder / f"Seven{suffix}"
    path.touch()
    for name in (f"Seven{suffix}", f"seven{suffix.lower()}", f"SEVEN{suffix.upper()}"):
        assert find_picture(tmp_path, folder + name) == path
    assert find_picture(tmp_path, f"{folder}eight{suffix}") is None


@pytest.mark.parametrize("suffix", [".JPG", ".jpeg", ".WEBP", ".gif", ".bmp", ".png"])
def test_an_id_is_tried_with_each_ending(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"7{suffix}").touch()
    assert find_picture(tmp_path, "7") == tmp_path / f"7{suffix}"


@pytest.mark.parametrize(("stored", "named"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_accents_of_either_form(stored: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / unicodedata.normalize(stored, ACCENT)  # type: ignore[arg-type]
    path.touch()
    assert find_picture(tmp_path, unicodedata.normalize(named, ACCENT)) == path  # type: ignore[arg-type]


def test_a_name_that_no_file_can_have_is_not_there(tmp_path: Path) -> None:
    for name in ("n" * 300, "n" * 300 + ".jpg", "n" * 300 + "/a.jpg", "n" * 254):
        assert find_picture(tmp_path, name) is None


def test_of_two_files_none_is_guessed_and_new_ones_are_seen(tmp_path: Path) -> None:
    assert find_picture(tmp_path, "a.jpg") is None
    (tmp_path / "A.jpg").touch()
    assert find_picture(tmp_path, "a.jpg") == tmp_path / "A.jpg"
    (tmp_path / "a.JPG").touch()
    assert find_picture(tmp_path, "a.jpg") is None
    assert find_picture(tmp_path / "nowhere", "a.jpg") is None


def test_of_two_endings_of_an_id_none_is_guessed(tmp_path: Path) -> None:
    (tmp_path / "7.jpg").touch()
    (tmp_path / "7.JPG").symlink_to("7.jpg")  # as one file is where case does not matter
    assert find_picture(tmp_path, "7") == tmp_path / "7.jpg"
    assert picture_name("7", tmp_path) == "7.jpg"
    (tmp_path / "7.png").touch()
    assert find_picture(tmp_path, "7") is None
    assert (picture_name("7", tmp_path), picture_name("8", tmp_path)) == ("7", "8.jpg")


def test_a_link_onto_itself_is_no_picture_and_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "B.JPG").touch()
    assert find_picture(tmp_path, "b.jpg") == tmp_path / "B.JPG"
    assert find_picture(tmp_path, "LOOP.png") is None


@pytest.mark.parametrize("root", ["set/pictures", "set/texts", "set", None])
def test_the_folder_in_which_missing_pictures_are_is_named(tmp_path: Path, root: str | None) -> None:
    """`--images set/pictures`, where the names begin with `pictures/`, is the usual one."""
    posts = tmp_path / "set" / "texts" / "posts.jsonl"
    (tmp_path / "set" / "pictures").mkdir(parents=True)
    posts.parent.mkdir()
    name = "1.png" if root == "set" else "pictures/1.png"
    (tmp_path / "set" / "pictures" / "1.png").touch()
    folder = tmp_path / "set" / "pictures" if root == "set" else tmp_path / "set"
    named = None if root is None else tmp_path / root
    assert other_folder([name], named, posts) == folder
    assert other_folder([name, "2.png"], named, posts) is None
    told = missing_report(posts, 1, 1, [name], named, "error")
    assert f", but in {folder}; give --images DIR" in told
    more = missing_report(posts, 5, 9, [name], named, "error")
    assert f", but the first three in {folder}; give --images DIR" in more
