"""Outputs of a conversion: a file for each split, and never one that is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from instruct_mner.data.conversion import check_absent, choose_outputs, choose_splits
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
