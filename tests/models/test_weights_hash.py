from __future__ import annotations

from pathlib import Path

import pytest

from instruct_mner.models import weights_hash as module
from instruct_mner.models.weights_hash import weights_hash


def test_contents_names_and_sizes_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 16)
    weights = tmp_path / "model.safetensors"
    hashes = set()
    contents = [b"", b"a", bytes(16), bytes(17), bytes(16 * 64), bytes(16 * 100), b"x" + bytes(16 * 100 - 1)]
    for content in (*contents, bytes(16 * 100 - 1) + b"x"):
        weights.write_bytes(content)
        hashes.add(weights_hash(tmp_path))
    assert len(hashes) == len(contents) + 1
    (tmp_path / "notes.md").write_text("not of the model")
    before = weights_hash(tmp_path)
    (tmp_path / "notes.md").unlink()
    assert weights_hash(tmp_path) == before
    weights_alone = weights_hash(tmp_path, weights_only=True)
    (tmp_path / "mner.json").write_text("{}")
    assert weights_hash(tmp_path) != before
    assert weights_hash(tmp_path, weights_only=True) == weights_alone
    weights.rename(tmp_path / "other.safetensors")
    assert weights_hash(tmp_path) != before


def test_no_folder_has_no_hash(tmp_path: Path) -> None:
    assert weights_hash(tmp_path / "nowhere") is None
