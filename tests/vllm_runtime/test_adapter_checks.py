"""What vLLM cannot load, or would serve as the base in its name, is told before it is started."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from transformers import AutoConfig

from instruct_mner.errors import MnerError, ModelError
from instruct_mner.models.families import FAMILIES
from instruct_mner.vllm_runtime.adapter_checks import adapter_rank, takes_adapters

FAMILY = FAMILIES["qwen3_vl"]
TEXT = SimpleNamespace(num_hidden_layers=2, hidden_size=16)
CONFIG = SimpleNamespace(get_text_config=lambda: TEXT)
QUERY = "base_model.model.model.language_model.layers.1.self_attn.q_proj"


def write(folder: Path, module: str = QUERY, width: int = 16, rank: int = 8, **settings: object) -> Path:
    config = {"peft_type": "LORA", "r": rank, "bias": "none", "init_lora_weights": True, **settings}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    weights = {
        f"{module}.lora_A.weight": np.zeros((rank, width), "float32"),
        f"{module}.lora_B.weight": np.zeros((16, rank), "float32"),
    }
    save_file(weights, folder / "adapter_model.safetensors")
    return folder


@pytest.mark.parametrize(("settings", "rank"), [({}, 8), ({"rank": 512}, 512), ({"rank_pattern": {"x": 64}}, 64)])
def test_the_rank_of_a_plain_adapter(tmp_path: Path, settings: dict[str, Any], rank: int) -> None:
    assert adapter_rank(write(tmp_path, **settings), FAMILY, CONFIG) == rank


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rank": 513}, "rank 513, more than 512"),
        ({"peft_type": "IA3"}, "kind IA3"),
        ({"use_dora": True}, "DoRA"),
        ({"bias": "all"}, "biases"),
        ({"lora_bias": True}, "biases"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"init_lora_weights": "pissa"}, "pissa"),
        ({"trainable_token_indices": [1]}, "token embeddings"),
        ({"module": QUERY.replace("language_model.layers.1", "language_model.layers.2")}, "the base has 2 layers"),
        ({"module": QUERY.replace("model.language_model", "language_model.model")}, "no linear layer of the text"),
        ({"module": "base_model.model.model.visual.blocks.0.attn.proj"}, "no linear layer of the text"),
        ({"width": 32}, "a width of 32, the base has 16"),
    ],
)
def test_an_adapter_that_vllm_cannot_serve(tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        adapter_rank(write(tmp_path, **settings), FAMILY, CONFIG)


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", None])
def test_a_broken_adapter(tmp_path: Path, name: str, content: bytes | None) -> None:
    path = write(tmp_path) / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MnerError, match=name):
        adapter_rank(tmp_path, FAMILY, CONFIG)


def test_a_family_whose_adapters_vllm_does_not_take(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"adapters on llava_onevision; make a whole model.*: instruct-mner merge "):
        adapter_rank(write(tmp_path), FAMILIES["llava_onevision"], CONFIG)


@pytest.mark.parametrize("has_gpu", [True, False])
def test_adapters_on_experts_need_a_gpu(tmp_path: Path, has_gpu: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: has_gpu)
    experts = AutoConfig.for_model("qwen3_vl_moe")
    assert takes_adapters(FAMILIES["qwen3_vl_moe"], experts) is has_gpu
    assert takes_adapters(FAMILIES["qwen3_vl"], AutoConfig.for_model("qwen3_vl"))
    if not has_gpu:
        with pytest.raises(ModelError, match=r"adapters on qwen3_vl_moe without a GPU; .*: instruct-mner merge"):
            adapter_rank(write(tmp_path), FAMILIES["qwen3_vl_moe"], experts)
