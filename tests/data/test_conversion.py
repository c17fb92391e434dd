"""Outputs: a file for each split of a conversion, and never one that is there, but for the command's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from instruct_mner.data.conversion import check_absent, check_output_file, choose_outputs, choose_splits
from instruct_mner.errors import ConfigError

SPLITS = {"train": 1, "dev": 2}


def test_a_folder_gets_a_file_for_each_split(tmp_path: Path) -> None:
    outputs = choose_outputs(SPLITS, tmp_path / "out", ".csv", one_file=False)
    assert outputs == [(1, tmp_path / "out" / "train.csv"), (2, tmp_path / "out" / "dev.csv")]
    assert choose_outputs(SPLITS, tmp_path / "a.csv", ".csv", "dev", one_file=True) == [(2, tmp_path / "a.csv")]


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="train, dev do not fit into one file"):
        choose_outputs(SPLITS, tmp_path / "a.csv", ".csv", one_file=True)
    with pytest.raises(ConfigError, match="no split 'trian'; did you mean 'train'"):
        choose_splits(SPLITS, "trian")
    (tmp_path / "a").touch()
    with pytest.raises(ConfigError, match="exists; choose another name"):
        check_absent(tmp_path / "b", tmp_path / "a")


def test_a_command_writes_over_what_it_has_made_alone(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    own.write_bytes(b"\x89PNG\r\n\x1a\n made by it\0")
    other.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 1000 + b"made by it")
    check_output_file(own, own_mark=b"made by it\0")
    check_output_file(tmp_path / "new", own_mark=b"made by it\0")
    for mark in (None, b"made by it"):
        with pytest.raises(ConfigError, match=r"other exists; choose another name or remove it"):
            check_output_file(other, own_mark=mark)
    with pytest.raises(ConfigError, match="is a folder; name a file"):
        check_output_file(tmp_path, own_mark=b"made by it")
