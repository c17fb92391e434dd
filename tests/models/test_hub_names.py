"""Names of weights on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from instruct_mner.models.checkpoint_names import restore_names, save_whole
from instruct_mner.models.families import FAMILIES
from instruct_mner.models.loading import load_model

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


def test_experts_have_the_shape_of_the_hub(tiny_models, tmp_path) -> None:
    """transformers reads either shape; vLLM reads rows of inputs alone."""
    loaded = load_model(str(tiny_models("qwen3_vl_moe")))
    save_whole(loaded.model, tmp_path / "again", loaded.family)
    loaded.processor.save_pretrained(tmp_path / "again")
    for folder in (tiny_models("qwen3_vl_moe"), tmp_path / "again"):
        with safe_open(folder / "model.safetensors", "pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys() if "experts" in name}  # noqa: SIM118
        assert {shape for name, shape in shapes.items() if name.endswith("gate_up_proj")} == {(4, 64, 96)}
        assert {shape for name, shape in shapes.items() if name.endswith("down_proj")} == {(4, 48, 64)}
    again = load_model(str(tmp_path / "again")).base.state_dict()
    for name, weight in loaded.base.state_dict().items():
        assert torch.equal(again[name], weight), name


def test_other_families_are_left_as_they_are(tmp_path: Path) -> None:
    save_file({"vision_tower.embeddings.weight": torch.ones(1)}, tmp_path / "model.safetensors")
    before = (tmp_path / "model.safetensors").read_bytes()
    for name in FAMILIES.keys() - {*SIGLIP, "qwen3_vl_moe"}:
        restore_names(tmp_path, FAMILIES[name])
    assert (tmp_path / "model.safetensors").read_bytes() == before
