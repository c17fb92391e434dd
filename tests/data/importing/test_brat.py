"""brat's stand-off annotations: entities, what is left out, and what is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from instruct_mner.data.importing.brat import of_folder, of_texts
from instruct_mner.data.importing.posts import Fault, Mark, RawPost
from instruct_mner.data.importing.run import import_file
from instruct_mner.data.importing.writing import ImportOptions
from instruct_mner.errors import DataError


def pair(folder: Path, name: str, text: str, annotations: str | None) -> Path:
    (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    if annotations is not None:
        (folder / f"{name}.ann").write_text(annotations, encoding="utf-8")
    return folder / f"{name}.txt"


def test_entities_are_read_and_other_annotations_are_counted(tmp_path: Path) -> None:
    lines = "T1\tPER 0 4\tAnna\n\nR1\tLives Arg1:T1 Arg2:T2\nT2\tLOC 10 14\tOslo\n#1\tNote T1\thm\n#2\tNote T2\thm\n"
    path = pair(tmp_path, "7", "\ufeffAnna from Oslo\r\n", lines)
    notes: list[str] = []
    [post] = of_texts([path], notes)
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
    fault, post = of_texts([bad, good], [])
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
