"""Columns of gold and prediction in one file, and of either alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from instruct_mner.data.gold_and_prediction import num_tag_columns, read_column
from instruct_mner.errors import DataError

BOTH = "Anna NN B-PER B-PER\nBell NN I-PER O\nflew VB O O\n\nOslo NN O I-LOC\n"


def written(folder: Path, content: str, name: str = "a.txt") -> Path:
    path = folder / name
    path.write_text(content)
    return path


@pytest.mark.parametrize(
    ("content", "count"),
    [
        (BOTH, 2),
        ("Anna B-PER\nflew O\n", 1),
        ("Anna\tB-PER\tB-PER\n", 2),
        ("Anna O B-PER B-LOC\n", 3),
        ("IMGID:1\nWebber\tB-building\tB-school\n", 1),
        ('{"id": "1", "text": "a"}\n', 0),
        ("no columns here at all, only a text.\n", 0),
        ("", 0),
    ],
)
def test_columns_of_tags_are_counted(content: str, count: int, tmp_path: Path) -> None:
    assert num_tag_columns(written(tmp_path, content)) == count


def test_files_of_rows_and_what_is_no_file_have_no_columns(tmp_path: Path) -> None:
    assert num_tag_columns(written(tmp_path, BOTH, "a.jsonl")) == 0
    for name in ("a.json", "a.txt"):
        assert num_tag_columns(written(tmp_path, '[{"text": "Jackie O left"}]', name)) == 0
    for name in ("a.txt", "a.tsv"):
        assert num_tag_columns(written(tmp_path, "[\tO\nAnna\tB-PER\n", name)) == 1
    assert num_tag_columns(tmp_path) == 0
    assert num_tag_columns(tmp_path / "nowhere.txt") == 0


def spans(path: Path, which: str, decode: str = "tolerant") -> list[list[tuple[str, str]]]:
    dataset = read_column(path, which, decode)  # type: ignore[arg-type]
    return [[(entity.text, entity.label) for entity in post.gold] for post in dataset.examples]


def test_gold_is_the_last_but_one_and_prediction_the_last(tmp_path: Path) -> None:
    path = written(tmp_path, BOTH)
    assert spans(path, "gold") == [[("Anna Bell", "PER")], []]
    assert spans(path, "prediction") == [[("Anna", "PER")], [("Oslo", "LOC")]]
    assert spans(path, "prediction", "strict") == [[("Anna", "PER")], []]
    three = written(tmp_path, "Anna B-X B-PER B-LOC\n", "three.txt")
    assert (spans(three, "gold"), spans(three, "prediction")) == ([[("Anna", "PER")]], [[("Anna", "LOC")]])


def test_the_choice_is_told_where_there_is_one(tmp_path: Path) -> None:
    path = written(tmp_path, BOTH)
    assert f"{path}: column 3 is taken for the gold" in read_column(path, "gold").notes
    alone = written(tmp_path, "Anna B-PER\n", "alone.txt")
    assert read_column(alone, "gold").notes == ()


def test_one_column_is_either(tmp_path: Path) -> None:
    path = written(tmp_path, "Anna B-PER\nflew O\n")
    assert spans(path, "gold") == spans(path, "prediction") == [[("Anna", "PER")]]


@pytest.mark.parametrize("which", ["gold", "prediction"])
def test_anything_wrong_stops_it(which: str, tmp_path: Path) -> None:
    path = written(tmp_path, BOTH + "\nx NN B-PER\n")
    with pytest.raises(DataError, match=r"a\.txt:7: "):
        spans(path, which)
