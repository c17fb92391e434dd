"""Decoders whose linear layers are held in 4 bits, for QLoRA."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from transformers import BitsAndBytesConfig
from transformers.utils import is_bitsandbytes_available

from instruct_mner.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

    from instruct_mner.models.families import Family


def four_bits(family: Family, *, in_parts: bool) -> BitsAndBytesConfig:
    """Return the 4-bit form of the QLoRA paper; vision tower, projector and output embedding are not quantized.

    Source: https://arxiv.org/abs/2305.14314, section 3. FSDP lays only floats in parts, in the type it computes in.

    Args:
        family: Family of the model.
        in_parts: Whether the weights lie in parts in several processes.

    Raises:
        ConfigError: bitsandbytes is not installed.
    """
    if not is_bitsandbytes_available():
        raise ConfigError("tuning: qlora needs bitsandbytes: pip install 'instruct-mner[qlora]'")
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_quant_storage=torch.bfloat16 if in_parts else torch.uint8,
        llm_int8_skip_modules=["lm_head", *family.vision_paths],
    )


def keep_as_they_are(model: nn.Module) -> None:
    """Let no forward pack the weights anew.

    On CPUs with AVX512-BF16 the first forward without gradient, such as that of a score of dev, would pack them into a
    form whose products have no backward pass: the training went on with wrong gradients.

    Source: bitsandbytes 0.50, ``Linear4bit.forward`` and ``matmul_4bit``.

    Args:
        model: Model in 4 bits, changed in place.
    """
    for module in model.modules():
        if "support_avx512bf16_for_cpu" in vars(module):
            vars(module)["support_avx512bf16_for_cpu"] = False
