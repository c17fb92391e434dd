"""Names of weights on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from instruct_mner.models.checkpoint_names import restore_names
from instruct_mner.models.families import FAMILIES

SIGLIP = ("gemma3", "llava_onevision")


@pytest.mark.parametrize("family", SIGLIP)
def test_a_tower_has_the_names_of_the_hub_in_every_shard_and_in_the_index(family: str, tmp_path: Path) -> None:
    shards = {
        "a.safetensors": {"vision_tower.embeddings.weight": torch.arange(3.0), "language_model.norm": torch.ones(2)},
        "b.safetensors": {"vision_tower.vision_model.head.weight": torch.zeros(1)},
    }
    for file, tensors in shards.items():
        save_file(tensors, tmp_path / file, {"format": "pt"})
    index = {"metadata": {"total_size": 24}, "weight_map": {name: file for file in shards for name in shards[file]}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))

    restore_names(tmp_path, FAMILIES[family])
    restore_names(tmp_path, FAMILIES[family])  # What has the names already keeps them.

    kept = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert kept["metadata"] == index["metadata"]
    assert kept["weight_map"] == {
        "vision_tower.vision_model.embeddings.weight": "a.safetensors",
        "language_model.norm": "a.safetensors",
        "vision_tower.vision_model.head.weight": "b.safetensors",
    }
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}
        assert set(file.keys()) == {"vision_tower.vision_model.embeddings.weight", "language_model.norm"}
        assert file.get_tensor("vision_tower.vision_model.embeddings.weight").tolist() == [0, 1, 2]
    assert {path.name for path in tmp_path.iterdir()} == {*shards, "model.safetensors.index.json"}


def test_other_families_are_left_as_they_are(tmp_path: Path) -> None:
    save_file({"vision_tower.embeddings.weight": torch.ones(1)}, tmp_path / "model.safetensors")
    before = (tmp_path / "model.safetensors").read_bytes()
    for name in FAMILIES.keys() - set(SIGLIP):
        restore_names(tmp_path, FAMILIES[name])
    assert (tmp_path / "model.safetensors").read_bytes() == before
