"""brat's stand-off annotations: entities, what is left out, and what is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from instruct_mner.data.importing.brat import of_folder, of_texts, split_folders
from instruct_mner.data.importing.posts import Fault, Mark, RawPost
from instruct_mner.data.importing.run import import_file
from instruct_mner.data.importing.writing import ImportOptions
from instruct_mner.data.loading import load_split
from instruct_mner.errors import ConfigError, DataError


def pair(folder: Path, name: str, text: str, annotations: str | None) -> Path:
    (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    if annotations is not None:
        (folder / f"{name}.ann").write_text(annotations, encoding="utf-8")
    return folder / f"{name}.txt"


def test_entities_are_read_and_other_annotations_are_counted(tmp_path: Path) -> None:
    lines = "T1\tPER 0 4\tAnna\n\nR1\tLives Arg1:T1 Arg2:T2\nT2\tLOC 10 14\tOslo\n#1\tNote T1\thm\n#2\tNote T2\thm\n"
    path = pair(tmp_path, "7", "\ufeffAnna from Oslo\r\n", lines)
    notes: list[str] = []
    [post] = of_texts([path], tmp_path.iterdir(), notes)
    assert isinstance(post, RawPost)
    assert (post.id, post.text) == ("7", "Anna from Oslo")
    assert post.marks == (
        Mark(start=0, end=4, surface="Anna", label="PER"),
        Mark(start=10, end=14, surface="Oslo", label="LOC"),
    )
    assert notes == ["annotations that are no entities are left out: 2 of #, 1 of R"]


def test_a_text_without_annotations_is_not_annotated_and_an_empty_file_says_none(tmp_path: Path) -> None:
    pair(tmp_path, "a", "x", None)
    pair(tmp_path, "b", "y", "")
    (tmp_path / "lonely.ann").write_text("")
    lonely, first, second = of_folder(tmp_path, [])
    assert isinstance(lonely, Fault)
    assert lonely.reason.startswith("there is no text beside it")
    assert isinstance(first, RawPost)
    assert isinstance(second, RawPost)
    assert (first.marks, second.marks) == (None, ())


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("T1\tPER 0 2;5 9\tAn left", "line 1: .* is in several pieces"),
        ("T1\tPER 0\tAnna", "line 1: expected 'T1<TAB>LABEL START END<TAB>TEXT'"),
        ("T1\tPER 0 four\tAnna", "line 1: expected"),
        ("T1 PER 0 4 Anna", "line 1: expected"),
    ],
)
def test_a_wrong_line_is_a_fault_of_its_file(line: str, reason: str, tmp_path: Path) -> None:
    bad, good = pair(tmp_path, "a", "Anna left", line), pair(tmp_path, "b", "x", "")
    fault, post = of_texts([bad, good], tmp_path.iterdir(), [])
    assert isinstance(fault, Fault)
    assert fault.where == str(bad.with_suffix(".ann"))
    assert re.match(reason, fault.reason)
    assert isinstance(post, RawPost)


def test_wrong_offsets_are_told_with_file_and_line(tmp_path: Path) -> None:
    pair(tmp_path, "a", "Anna left", "T1\tPER 0 4\tAnna\n")
    pair(tmp_path, "b", "Bob left", "\nT1\tPER 0 99\tBob\n")
    for names, place in ((("a", "b"), r"b\.txt: b\.ann: line 2: entity"), (("b",), r"\(\S+b\.txt, b\.ann: line 2\)")):
        folder = tmp_path / "-".join(names)
        folder.mkdir()
        for number in range(20):
            pair(folder, f"more{number}", "Anna left", "T1\tPER 0 4\tAnna\n" if len(names) > 1 else None)
        for name in names:
            for suffix in (".txt", ".ann"):
                (folder / f"{name}{suffix}").write_bytes((tmp_path / f"{name}{suffix}").read_bytes())
        with pytest.raises(DataError, match=place):
            import_file(str(folder), tmp_path / "out.jsonl", ImportOptions())


def test_annotations_are_known_in_capitals_too(tmp_path: Path) -> None:
    pair(tmp_path, "a", "Anna left", "T1\tPER 0 4\tAnna\n")
    pair(tmp_path, "b", "Bob left", None)
    (tmp_path / "b.ANN").write_text("T1\tPER 0 3\tBob\n")
    assert [post.marks and post.marks[0].surface for post in of_folder(tmp_path, []) if isinstance(post, RawPost)] == [
        "Anna",
        "Bob",
    ]


def test_line_ends_that_count_as_one_character_are_newlines(tmp_path: Path) -> None:
    for name, start in (("alone", 5), ("counted", 6)):
        (tmp_path / f"{name}.txt").write_bytes(b"Anna\r\nBell left")
        pair_of = f"T1\tPER 0 4\tAnna\nT2\tPER {start} {start + 4}\tBell\n"
        (tmp_path / f"{name}.ann").write_text(pair_of)
    notes = import_file(str(tmp_path), tmp_path / "out.jsonl", ImportOptions()).notes
    alone, counted = load_split(str(tmp_path / "out.jsonl")).examples
    assert (alone.text, counted.text) == ("Anna\nBell left", "Anna\r\nBell left")
    assert alone.gold[1].text == counted.gold[1].text == "Bell"
    assert notes == ["line ends of 1 text(s) are read as newlines alone, as their offsets count them"]


def splits(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (folder / "set" / name).mkdir(parents=True)
        pair(folder / "set" / name, str(number), "Anna left", "T1\tPER 0 4\tAnna\n")
    return folder / "set"


def test_folders_of_splits_become_a_file_each(tmp_path: Path) -> None:
    folder = splits(tmp_path, "test", "Train", "valid/more")
    pair(folder, "readme", "to read", None)
    (folder / "test" / "0.ann").unlink()
    with pytest.raises(ConfigError, match=r"folders Train, valid, test; name a folder"):
        import_file(str(folder), tmp_path / "out.jsonl", ImportOptions())
    total = import_file(str(folder), tmp_path / "out", ImportOptions())
    assert (total.num_posts, total.num_entities) == (3, 2)
    assert total.notes[0] == (f"{folder}: 1 file(s) outside of Train, test, valid are not read, the first readme.txt")
    ids = {split: [post.id for post in load_split(str(tmp_path / "out" / f"{split}.jsonl")).examples]
           for split in ("train", "dev", "test")}  # fmt: skip
    assert ids == {"train": ["1"], "dev": ["2"], "test": ["0"]}


def test_no_split_is_written_where_one_is_wrong(tmp_path: Path) -> None:
    folder = splits(tmp_path, "train", "test")
    pair(folder / "test", "2", "Anna left", "T1 PER")
    with pytest.raises(DataError, match=r"2\.ann: line 1: expected"):
        import_file(str(folder), tmp_path / "out", ImportOptions())
    assert not list(tmp_path.glob("out/*"))


def test_folders_that_are_no_split_alone(tmp_path: Path) -> None:
    assert split_folders(splits(tmp_path / "one", "train", "others"), []) == {}
    for number, names in enumerate((("dev", "val", "train"), ("a/train", "a/test"))):
        with pytest.raises(ConfigError, match=r"holds splits in .*import them one by one"):
            split_folders(splits(tmp_path / str(number), *names), [])
