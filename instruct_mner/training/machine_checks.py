"""Settings that a machine or its packages cannot fulfil, refused before weights are loaded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import torch
from transformers.utils import is_bitsandbytes_available, is_flash_attn_2_available, is_flash_attn_3_available
from transformers.utils.import_utils import is_liger_kernel_available

from instruct_mner.errors import ConfigError, listing
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.sharding import problems_of_sharding


def check_machine(config: FinetuneConfig) -> None:
    """Refuse settings that cannot work on this machine, all at once.

    Raises:
        ConfigError: There are such; the message says what each of them needs.
    """
    problems = list(_problems(config))
    if problems:
        raise ConfigError(f"{len(problems)} setting(s) that cannot be fulfilled here:\n{listing(problems)}")


def _problems(config: FinetuneConfig) -> Iterator[str]:
    optimizer, attention = config.optimizer, config.attn_implementation or ""
    num_gpus = torch.cuda.device_count()
    if attention.startswith("flash_attention"):
        installed = is_flash_attn_2_available() if attention.endswith("2") else is_flash_attn_3_available()
        if not installed or not num_gpus:
            yield f"attn_implementation: {attention} needs a GPU and its package (flash-attn); take sdpa"
        if config.dtype == "float32":
            yield f"attn_implementation: {attention} computes in bfloat16; take dtype: bfloat16, or sdpa"
    if optimizer.name.endswith("bit") and not (num_gpus and is_bitsandbytes_available()):
        yield f"optimizer.name: {optimizer.name} needs a GPU and bitsandbytes (pip install 'instruct-mner[qlora]')"
    if optimizer.liger and not (num_gpus and is_liger_kernel_available()):
        yield "optimizer.liger needs a GPU and liger-kernel (pip install liger-kernel)"
    if optimizer.torch_compile and not (num_gpus or shutil.which("g++") or shutil.which("clang++")):
        yield "optimizer.torch_compile needs a compiler for C++ (g++) on a CPU"
    yield from problems_of_sharding(config)
    if config.device_map is not None and num_gpus < 2:
        yield f"device_map: {config.device_map} needs at least two GPUs, here are {num_gpus}; leave it out"
    if config.device_map is not None and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        yield "device_map is for one process; leave it out under accelerate launch"
