"""Runs whose weights lie in parts in several processes (FSDP, DeepSpeed): what works there, and what does not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from accelerate import Accelerator, PartialState
from accelerate.utils import parse_flag_from_env
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from instruct_mner.training.config import FinetuneConfig


def is_sharded() -> bool:
    """Return true under FSDP or DeepSpeed, where a forward is one of all processes together."""
    return any(map(parse_flag_from_env, ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED")))


def problems_of_sharding(config: FinetuneConfig) -> Iterator[str]:
    """Iterate over the settings of a run that do not work on weights in parts, each with what to do.

    Args:
        config: Config of the run.
    """
    if not is_sharded():
        return
    if parse_flag_from_env("ACCELERATE_USE_DEEPSPEED"):
        yield "DeepSpeed: weights are not saved from its parts; take FSDP 2 (deploy/accelerate/fsdp2.yaml)"
    if parse_flag_from_env("ACCELERATE_USE_FSDP") and os.environ.get("FSDP_VERSION", "1") != "2":
        yield "FSDP: only version 2 is supported; set fsdp_config: {fsdp_version: 2} in the config of accelerate"
    if os.environ.get("FSDP_STATE_DICT_TYPE") == "FULL_STATE_DICT":
        # Source: accelerate 1.15 and torch 2.13: with gloo, the optimizer of such a checkpoint is never read.
        yield "FSDP: a run with FULL_STATE_DICT is not resumed; set fsdp_state_dict_type: SHARDED_STATE_DICT"
    if config.alignment.is_on:
        yield (
            "alignment: objectives run parts of the model by themselves, which FSDP and DeepSpeed do not allow; launch "
            "with --multi_gpu (a whole model in each process), or leave them out"
        )
    if config.data.dev is not None:
        yield (
            "data.dev: each process tags posts of its own, which it cannot do with a part of the weights; leave it "
            "out, and evaluate the run afterwards"
        )
    if config.tuning == "qlora":
        yield "tuning: qlora holds the whole decoder in 4 bits in each process; launch with --multi_gpu, or take lora"
    if config.tuning == "full":
        yield "tuning: full is not saved from parts; launch with --multi_gpu (a whole model each), or take lora"
    if config.optimizer.share_prompt_prefix:
        yield "optimizer.share_prompt_prefix: layers are called as they are under FSDP and DeepSpeed; leave it out"
    if config.vision_cache.enabled:
        yield "vision_cache.enabled: the vision tower lies in parts in several processes; leave it out"


def part_layers_alone(accelerator: Accelerator, decoder: nn.Module) -> None:
    """Let FSDP lay only the decoder's layers in parts of their own; the rest is one part, gathered by each forward.

    By default the layers of the vision tower are parts too, for which a process without a picture in its batch would
    let the others wait.

    Args:
        accelerator: Accelerator of the run.
        decoder: Text decoder.
    """
    plugin = getattr(accelerator.state, "fsdp_plugin", None)
    if plugin is not None:
        layers: Any = decoder.layers
        plugin.transformer_cls_names_to_wrap = sorted({type(layer).__name__ for layer in layers})


def reads_weights() -> bool:
    """Return whether the weights are read in this process; of those in parts, accelerate may read them in the first."""
    return not is_sharded() or PartialState().is_main_process


def whole_weights(model: nn.Module) -> dict[str, Tensor] | None:
    """Return the weights of the adapter, where they lie in parts in several processes, which all must call this.

    Args:
        model: Model that is trained.

    Returns:
        Weights that are tuned, by name; ``None`` where each process has them whole.
    """
    if not is_sharded():
        return None
    return {name: _whole(each) for name, each in model.named_parameters() if each.requires_grad}


def _whole(parameter: nn.Parameter) -> Tensor:
    data = parameter.detach()
    return _plain(data.full_tensor() if isinstance(data, DTensor) else data)


def _plain(tensor: Tensor) -> Tensor:
    """Return a tensor on the CPU that has memory of its own: one that was gathered there may still be waited for."""
    return tensor.cpu() if tensor.device.type != "cpu" else tensor.clone()
