"""Weights that DeepSpeed lays in parts (ZeRO-3): each module gathers its own as it runs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from instruct_mner.errors import ConfigError
from instruct_mner.training.config import FinetuneConfig

if TYPE_CHECKING:
    from accelerate import Accelerator

_OFFLOADS = ("OFFLOAD_OPTIMIZER_DEVICE", "OFFLOAD_PARAM_DEVICE")


def problems_of_zero3(config: FinetuneConfig) -> Iterator[str]:
    """Iterate over the settings of a run, and of its launch, that do not work with DeepSpeed, each with what to do.

    Args:
        config: Config of the run.
    """
    environment = {name: os.environ.get(f"ACCELERATE_DEEPSPEED_{name}", "none") for name in ("CONFIG_FILE", *_OFFLOADS)}
    if os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE") != "3" or set(environment.values()) != {"none"}:
        yield "DeepSpeed: only stage 3 without offload is supported; launch by deploy/accelerate/zero3.yaml"
    if config.tuning == "full":
        yield "tuning: full: under ZeRO-3 a process without a picture would wait for ever; take FSDP 2"
    if config.tuning == "qlora":
        yield "tuning: qlora: ZeRO-3 wants all weights in one data type; take FSDP 2 (deploy/accelerate/fsdp2.yaml)"
    if config.optimizer.gradient_checkpointing and config.alignment.is_on:
        # Source: trl 1.16, `SFTTrainer.__init__`: reentrant under ZeRO-3, so that what is captured has no gradient.
        yield "optimizer.gradient_checkpointing: objectives would teach nothing with it under ZeRO-3; take FSDP 2"
    for name, settings in config.alignment.each():
        if name != "cross_view" and getattr(settings, "through", "head") == "head":
            yield f"alignment.{name}: ZeRO-3 would clip its head with the weights that are served; take FSDP 2"


def is_part(tensor: Tensor) -> bool:
    """Return whether a weight lies in parts of DeepSpeed."""
    return hasattr(tensor, "ds_id")


def gathered(part: Tensor) -> Tensor:
    """Return a weight that lies in parts, whole; all processes must call this."""
    from deepspeed import zero

    with zero.GatheredParameters([part]):
        return part.detach().clone()


def lay_in_zero3(accelerator: Accelerator, model: nn.Module, base: nn.Module, kept: Sequence[nn.Module]) -> None:
    """Lay a model that was read whole in parts, one weight after another.

    DeepSpeed would order what processes gather by what each did in the step before, and these do not do the same: one
    has a picture in its batch, another none. So it is told to gather nothing ahead.

    Args:
        accelerator: Accelerator of the run.
        model: Model that is trained, with its adapter.
        base: Model of transformers inside.
        kept: Modules that only some processes may run; their weights are whole in each of these, from step to step.

    Raises:
        ConfigError: The mixed precision of the launch is not that of the weights.
    """
    from deepspeed import zero
    from deepspeed.runtime.zero.partitioned_param_coordinator import PartitionedParameterCoordinator

    plugin: Any = accelerator.state.deepspeed_plugin
    dtype = next(model.parameters()).dtype
    if plugin.deepspeed_config["bf16"]["enabled"] is not (dtype == torch.bfloat16):
        wanted = "bf16" if dtype == torch.bfloat16 else "'no'"
        raise ConfigError(
            f"the weights are {str(dtype).removeprefix('torch.')}; set mixed_precision: {wanted} in the config of "
            "accelerate, or another dtype in that of the run"
        )
    settings = ("stage3_param_persistence_threshold", "stage3_prefetch_bucket_size", "stage3_max_reuse_distance")
    plugin.deepspeed_config["zero_optimization"] |= dict.fromkeys(settings, 0)
    # Source: deepspeed 0.19, `reset_step`: what is recorded must be equal in all processes.
    PartitionedParameterCoordinator.is_record_trace = lambda *_: False
    zero.Init(module=model, dtype=dtype)
    for buffer in model.buffers():
        buffer.data = buffer.data.to(accelerator.device)
    weights: list[Any] = [weight for module in kept for weight in module.parameters()]
    for weight in weights:
        weight.is_external_param = True  # not released by the module that ran
    base.register_forward_pre_hook(lambda *_: gather_kept(model))


def gather_kept(model: nn.Module) -> None:
    """Gather the weights that are whole from step to step; all processes must call this after each step."""
    kept: list[Any] = [each for each in model.parameters() if getattr(each, "is_external_param", False)]
    apart = [each for each in kept if each.ds_status.name == "NOT_AVAILABLE"]
    if apart:
        apart[0].all_gather_coalesced(apart).wait()
