"""Pictures of imported posts: in the folder, in one of its subfolders, or not there."""

from __future__ import annotations

from pathlib import Path

from instruct_mner.data.importing.picture_names import PictureNamer


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
    assert (pictures.name("7.jpg"), pictures.lines("a.csv")) == ("7.jpg", [])


def test_the_digits_that_label_studio_puts_before_a_name_are_left_out_where_no_file_has_them(tmp_path: Path) -> None:
    for name in ("7.jpg", "1a2b3c4d-8.jpg", "8.jpg"):
        (tmp_path / name).touch()
    pictures = PictureNamer(tmp_path, None, tmp_path / "out.jsonl")
    names = [pictures.name(f"/data/upload/1/1a2b3c4d-{name}") for name in ("7.jpg", "8.jpg", "9.jpg")]
    assert names == ["7.jpg", "1a2b3c4d-8.jpg", "/data/upload/1/1a2b3c4d-9.jpg"]
