"""Features on disk."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from instruct_mner.errors import DataError
from instruct_mner.models.feature_store import FeatureStore

KEYS = [bytes([number]) * 16 for number in range(4)]


@given(
    rows=st.integers(0, 5),
    columns=st.integers(1, 5),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
    seed=st.integers(0, 99),
)
def test_what_is_put_comes_back(tmp_path_factory, rows, columns, dtype, seed) -> None:
    store = FeatureStore(tmp_path_factory.mktemp("store"), 1 << 20)
    features = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)).to(dtype)
    store.put(KEYS[0], torch.ones(3, 2))
    store.put(KEYS[1], features)
    found = store.get(KEYS[1])
    assert found is not None
    assert found.dtype == dtype
    assert torch.equal(found, features)
    assert store.get(KEYS[2]) is None


def test_others_see_it_at_once_and_later(tmp_path) -> None:
    one, two = FeatureStore(tmp_path, 1 << 20), FeatureStore(tmp_path, 1 << 20)
    for store, key in ((one, KEYS[0]), (two, KEYS[1]), (one, KEYS[2])):
        store.put(key, torch.full((2, 2), float(key[0])))
    for store in (one, two, FeatureStore(tmp_path, 1 << 20)):
        found = [store.get(key) for key in KEYS[:3]]
        assert [float(each[0, 0]) for each in found if each is not None] == [0, 1, 2]


def test_what_has_no_room_is_left_out(tmp_path) -> None:
    store = FeatureStore(tmp_path, 40)
    for key in KEYS[:3]:
        store.put(key, torch.ones(2, 2))
    assert len(store) == 2
    assert store.num_bytes == 32
    assert store.get(KEYS[2]) is None


def test_a_record_that_was_cut_is_left_out(tmp_path) -> None:
    FeatureStore(tmp_path, 1 << 20).put(KEYS[0], torch.ones(2, 2))
    [index] = tmp_path.glob("*.index")
    index.write_bytes(index.read_bytes() + b"half")
    later = FeatureStore(tmp_path, 1 << 20)
    assert len(later) == 1
    assert later.get(KEYS[1]) is None


def test_a_disk_that_is_full_is_said(tmp_path, monkeypatch) -> None:
    def full(path: Path, *arguments: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    store = FeatureStore(tmp_path, 1 << 20)
    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(DataError, match=r"No space left on device; make room"):
        store.put(KEYS[0], torch.ones(2, 2))


def test_a_model_goes_on_when_the_folder_of_its_run_is_gone(tmp_path) -> None:
    own, other = FeatureStore(tmp_path / "run", 1 << 20), FeatureStore(tmp_path / "run", 1 << 20)
    own.put(KEYS[0], torch.ones(2, 2))
    assert other.get(KEYS[1]) is None
    shutil.rmtree(tmp_path / "run")
    assert other.get(KEYS[0]) is None
    own.put(KEYS[1], torch.ones(2, 2))
    assert own.get(KEYS[1]) is None
    assert not (tmp_path / "run").exists()
