from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model
from safetensors.torch import load_file, save_file

from instruct_mner.errors import ModelError
from instruct_mner.models.loading import load_adapter, load_model, lora_config


@pytest.fixture
def adapter(tiny_models, tmp_path) -> Path:
    """An adapter of the tiny Idefics3 whose B is not zero."""
    loaded = load_model(str(tiny_models("idefics3")))
    model = get_peft_model(loaded.model, lora_config(loaded.family, rank=8, alpha=16, dropout=0.0))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(generator=torch.Generator().manual_seed(0))
    model.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def test_an_adapter_changes_the_base_and_comes_back_as_it_was(tiny_models, adapter) -> None:
    loaded = load_adapter(load_model(str(tiny_models("idefics3"))), adapter)
    # Its dropout is off for whoever computes something with it, without a word of theirs.
    assert not [module for module in loaded.model.modules() if module.training]
    saved = load_file(adapter / "adapter_model.safetensors")
    model: Any = loaded.model
    state = model.state_dict()
    for name, weight in saved.items():
        prefix, _, tail = name.rpartition(".")
        assert torch.equal(state[f"{prefix}.default.{tail}"], weight)


def test_a_key_that_finds_no_module_is_an_error(tiny_models, adapter) -> None:
    path = adapter / "adapter_model.safetensors"
    weights = load_file(path)
    moved = {name.replace("layers.0", "blocks.0"): weight for name, weight in weights.items()}
    save_file(moved, path)
    with pytest.raises(ModelError, match="finds no module"):
        load_adapter(load_model(str(tiny_models("idefics3"))), adapter)


def test_a_key_that_is_missing_is_an_error(tiny_models, adapter) -> None:
    path = adapter / "adapter_model.safetensors"
    weights = load_file(path)
    weights.pop(sorted(weights)[0])
    save_file(weights, path)
    with pytest.raises(ModelError, match="not in the adapter"):
        load_adapter(load_model(str(tiny_models("idefics3"))), adapter)


def test_an_adapter_of_another_family_is_an_error(tiny_models, adapter) -> None:
    with pytest.raises(ModelError, match="does not fit the base model"):
        load_adapter(load_model(str(tiny_models("qwen3_vl"))), adapter)


def test_pickled_weights_are_refused(tiny_models, tmp_path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(tiny_models("idefics3"), folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="safetensors"):
        load_model(str(folder))


def test_a_folder_that_is_no_model(tmp_path) -> None:
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(str(tmp_path))


def test_float16_is_never_used(tiny_models, tmp_path) -> None:
    folder = tmp_path / "half"
    shutil.copytree(tiny_models("qwen3_vl"), folder)
    config = json.loads((folder / "config.json").read_text())
    config["dtype"] = "float16"
    (folder / "config.json").write_text(json.dumps(config))
    assert load_model(str(folder)).model.dtype == torch.bfloat16
    assert load_model(str(folder), dtype="float32").model.dtype == torch.float32


def test_special_tokens_are_those_that_break_prompts(tiny_models) -> None:
    assert {"<image>", "<end_of_utterance>", "<row_1_col_1>"} <= set(
        load_model(str(tiny_models("idefics3"))).special_tokens
    )
    assert {"<|im_end|>", "<|image_pad|>"} <= set(load_model(str(tiny_models("qwen3_vl"))).special_tokens)


def test_the_output_layer_is_given_the_states_of_last_tokens_in_one_piece(tiny_models) -> None:
    # What is sliced out of others takes 450 times as long in bfloat16 on a CPU.
    loaded = load_model(str(tiny_models("idefics3")))
    seen = list[torch.Tensor]()
    loaded.model.get_output_embeddings().register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    loaded.model(input_ids=torch.full((2, 5), 20), logits_to_keep=1)
    [states] = seen
    assert states.shape[:2] == (2, 1)
    assert states.is_contiguous()
