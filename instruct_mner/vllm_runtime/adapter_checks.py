"""Checks of an adapter for vLLM, which refuses some kinds and serves the base in the name of others."""

from __future__ import annotations

import json
import re
from pathlib import Path
from shlex import quote
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from instruct_mner.errors import ModelError, listing
from instruct_mner.files import read_text
from instruct_mner.models.families import Family

# Source: vllm.config.lora.MaxLoRARanks of vLLM 0.32.
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What ``--max-lora-rank`` may be."""

# Source: vllm.lora.peft_helper.PEFTHelper of vLLM 0.32: inits that leave the base as it is.
_PLAIN_INITS = (True, False, "gaussian", "eva", "orthogonal", "mica", "lora_ga")
_KEY = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<part>[AB])\.weight")


def takes_adapters(family: Family, config: Any) -> bool:
    """Return whether vLLM can serve adapters on a model here.

    Source: vLLM 0.32, ``select_unquantized_moe_backend`` in ``fused_moe/oracle/unquantized.py``: beside adapters,
    experts run on Triton, which has no CPU.

    Args:
        family: Family of the model.
        config: Config of the model.
    """
    settings = vars(config.get_text_config())
    # transformers renames the first of them to the second for some models.
    has_experts = any(settings.get(name) for name in ("num_experts", "num_local_experts"))
    return family.takes_adapters and (torch.cuda.is_available() or not has_experts)


def adapter_rank(folder: Path, family: Family, config: Any) -> int:
    """Return the rank of an adapter that vLLM can load.

    vLLM serves an adapter that matches no module as the base model, without a word: each key is held against the
    decoder's path, its number of layers and its width.

    Args:
        folder: The adapter.
        family: Family of its base.
        config: Config of its base.

    Raises:
        ModelError: It cannot be read, is of a kind that vLLM refuses, or fits another base.
    """
    if not takes_adapters(family, config):
        where = "" if not family.takes_adapters else " without a GPU"
        raise ModelError(
            f"vLLM cannot serve adapters on {family.name}{where}; make a whole model of it, which it can serve: "
            f"instruct-mner merge {quote(str(folder))} MODEL"
        )
    settings = _settings(folder)
    problems = _refused(settings)
    text = config.get_text_config()
    problems += _misfits(_shapes(folder), family, text.num_hidden_layers, text.hidden_size)
    ranks = [settings["r"], *(settings.get("rank_pattern") or {}).values()]
    if max(ranks) > RANKS[-1]:
        problems.append(f"rank {max(ranks)}, more than {RANKS[-1]}")
    if problems:
        raise ModelError(f"vLLM cannot serve the adapter {folder}:\n{listing(problems, most=5)}")
    return int(max(ranks))


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / "adapter_config.json"
    try:
        settings = json.loads(read_text(path))
        if not isinstance(settings["r"], int) or settings["r"] < 1:
            raise ValueError("its rank is no positive number")  # noqa: TRY301
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is no adapter's config ({error}); put back the file that 'finetune' wrote") from None
    return dict(settings)


def _refused(settings: dict[str, Any]) -> list[str]:
    """Return the properties of an adapter that vLLM refuses."""
    kinds = {
        f"kind {settings.get('peft_type')}, not LORA": settings.get("peft_type") != "LORA",
        "DoRA": settings.get("use_dora"),
        "trained biases": settings.get("bias", "none") != "none" or settings.get("lora_bias"),
        "modules_to_save": settings.get("modules_to_save"),
        f"init_lora_weights {settings.get('init_lora_weights')}, which changes the base": settings.get(
            "init_lora_weights", True
        )
        not in _PLAIN_INITS,
        "activated LoRA": settings.get("alora_invocation_tokens"),
        "layer_replication": settings.get("layer_replication"),
        "QALoRA": settings.get("use_qalora"),
        "trained token embeddings": settings.get("trainable_token_indices"),
    }
    return [
        f"it has {kind}" if not kind.startswith("kind") else f"it is of {kind}"
        for kind, is_so in kinds.items()
        if is_so
    ]


def _shapes(folder: Path) -> dict[str, list[int]]:
    path = folder / "adapter_model.safetensors"
    try:
        with safe_open(path, "numpy") as file:
            return {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118 (no mapping)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read ({error}); put back the file that 'finetune' wrote") from None


def _misfits(shapes: dict[str, list[int]], family: Family, num_layers: int, width: int) -> list[str]:
    """Key that find no module of the base, or one of another shape."""
    if not shapes:
        return ["it holds no weights"]
    problems = []
    for key, shape in shapes.items():
        match = _KEY.fullmatch(key)
        if match is None or not re.fullmatch(family.lora_pattern, match["module"]):
            problems.append(f"{key} is no linear layer of the text decoder, {family.decoder_path}")
            continue
        layer = re.search(r"\.layers\.(\d+)\.", key)
        if layer is not None and int(layer[1]) >= num_layers:
            problems.append(f"{key}: the base has {num_layers} layers")
        elif key.endswith("q_proj.lora_A.weight") and shape[1] != width:
            problems.append(f"{key} is for a width of {shape[1]}, the base has {width}")
    return problems
