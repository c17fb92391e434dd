"""Runs whose weights lie in parts in several processes (FSDP, DeepSpeed): what works there, and what does not."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import parse_flag_from_env
from torch import Tensor, distributed, nn
from torch.distributed.fsdp import FSDPModule, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from instruct_mner.models.families import Family
from instruct_mner.models.loading import LoadedModel
from instruct_mner.models.modes import in_use
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.zero3 import gather_kept, gathered, is_part, lay_in_zero3, problems_of_zero3

_Result = TypeVar("_Result")


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
        yield from problems_of_zero3(config)
    if parse_flag_from_env("ACCELERATE_USE_FSDP") and os.environ.get("FSDP_VERSION", "1") != "2":
        yield "FSDP: only version 2 is supported; set fsdp_config: {fsdp_version: 2} in the config of accelerate"
    if os.environ.get("FSDP_STATE_DICT_TYPE") == "FULL_STATE_DICT":
        # Source: accelerate 1.15 and torch 2.13: with gloo, the optimizer of such a checkpoint is never read.
        yield "FSDP: a run with FULL_STATE_DICT is not resumed; set fsdp_state_dict_type: SHARDED_STATE_DICT"
    grounding = config.alignment.region_span_grounding
    if grounding is not None and grounding.through == "attention" and grounding.heads == "auto":
        yield (
            "alignment.region_span_grounding.heads: auto tries a whole model on posts before it lies in parts; name "
            "layer, heads, second_layer and second_heads, as 'finetune --dry-run' in one process says them"
        )
    if config.tuning == "qlora" and os.environ.get("ACCELERATE_MIXED_PRECISION") == "fp16":
        yield "tuning: qlora: FSDP would cast its bits, which lie in bfloat16; set mixed_precision: bf16"
    if config.tuning == "full" and tuple(map(int, torch.__version__.split(".")[:2])) < (2, 13):
        # Source: torch 2.13, `FSDPModule.set_reduce_scatter_unused_params`.
        yield f"tuning: full needs torch 2.13, with which FSDP waits for no picture; here is {torch.__version__}"
    if config.vision_cache.enabled:
        yield "vision_cache.enabled: the vision tower lies in parts in several processes; leave it out"


def lay_in_parts(accelerator: Accelerator, model: nn.Module, base: nn.Module, family: Family) -> bool:
    """Let FSDP lay only the decoder's layers in parts of their own, or lay all in parts of ZeRO-3, as the launch says.

    By default the layers of the vision tower are parts too, for which a process without a picture in its batch would
    let the others wait.

    Args:
        accelerator: Accelerator of the run.
        model: Model that is trained, with its adapter.
        base: Model of transformers inside.
        family: Family of the model.

    Returns:
        Whether a module can use the weights of another: under ZeRO-3 each gathers its own.
    """
    state = accelerator.state
    if getattr(state, "deepspeed_plugin", None) is not None:
        lay_in_zero3(accelerator, model, base, [base.get_submodule(path) for path in family.vision_paths])
        return False
    if getattr(state, "fsdp_plugin", None) is not None:
        layers: Any = base.get_submodule(family.decoder_path).layers
        state.fsdp_plugin.transformer_cls_names_to_wrap = sorted({type(layer).__name__ for layer in layers})
    return True


def reduce_all_gradients(model: nn.Module) -> None:
    """Let FSDP count a weight without a gradient in this process as 0, as the vision tower's without a picture.

    Args:
        model: Model that is trained; of one with an adapter, all weights that are tuned have a gradient.
    """
    if isinstance(model, FSDPModule) and not hasattr(model, "peft_config"):
        model.set_reduce_scatter_unused_params(True)


def as_forward(model: nn.Module, function: Callable[[], _Result]) -> _Result:
    """Call a function that runs parts of a model, as a forward of it: FSDP gathers what no layer gathers by itself.

    Args:
        model: Model that is trained.
        function: Function; its gradients go through the tensors that it returns.
    """
    if not isinstance(model, FSDPModule):
        gather_kept(model)
        return function()
    # FSDP casts what a forward returns to the data type of the weights: the tensors themselves are kept beside.
    results: list[_Result] = []

    def forward() -> _Result:
        results.append(function())
        return results[0]

    owner: Any = model
    owner.run_parts = forward
    register_fsdp_forward_method(owner, "run_parts")
    try:
        owner.run_parts()
    finally:
        del owner.run_parts
    return results[0]


@contextmanager
def whole_gradients(model: nn.Module, *, in_step: bool) -> Iterator[None]:
    """Let the backward passes of the block give the gradients of all processes, where weights lie in parts.

    Args:
        model: Model that is trained.
        in_step: Whether those after the block do so too, as the last of a step does.
    """
    if not isinstance(model, FSDPModule):
        yield
        return
    model.set_requires_gradient_sync(True)
    try:
        yield
    finally:
        model.zero_grad()
        model.set_requires_gradient_sync(in_step)


def in_any_process(*flags: bool) -> list[bool]:
    """Return which flags are true in any process, where weights lie in parts and all call this; else the flags."""
    if not is_sharded():
        return list(flags)
    found = torch.tensor(flags, dtype=torch.int32, device=PartialState().device)
    distributed.all_reduce(found, op=distributed.ReduceOp.MAX)
    return [bool(each) for each in found.tolist()]


@contextmanager
def forwards_in_step(loaded: LoadedModel) -> Iterator[None]:
    """Let each process use a model for work of its own in the block, until the last has done all of its.

    Where weights lie in parts, a forward is one of all processes: those that have finished go along with a token.

    Args:
        loaded: Model that is trained; in the block, each forward must call all of its layers once.
    """
    if not is_sharded():
        yield
        return
    model: Any = loaded.model
    parts = [module for module in model.modules() if isinstance(module, FSDPModule)]
    as_forward(model, lambda: None)
    hook = loaded.base.register_forward_pre_hook(lambda *_: in_any_process(True) and None, prepend=True)
    try:
        yield
    finally:
        hook.remove()
    token = torch.tensor([loaded.end_tokens[:1]], device=PartialState().device)
    with in_use(model), torch.no_grad():
        while any(in_any_process(False)):
            loaded.base(input_ids=token, attention_mask=torch.ones_like(token))
    for part in parts:
        part.reshard()


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Average the gradients of weights that are whole beside those in parts; all processes must call this.

    Args:
        parameters: Weights; one without a gradient here counts with 0.
    """
    for parameter in parameters if is_sharded() else ():
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        distributed.all_reduce(parameter.grad)
        parameter.grad /= distributed.get_world_size()


def reads_weights() -> bool:
    """Return whether the weights are read in this process; of those in parts, accelerate may read them in the first."""
    return not is_sharded() or PartialState().is_main_process


def whole_weights(model: nn.Module) -> dict[str, Tensor] | None:
    """Return the weights that are tuned, where they lie in parts in several processes, which all must call this.

    Args:
        model: Model that is trained.

    Returns:
        Weights by name in the first process, none in the others; ``None`` where each process has them whole.
    """
    if not is_sharded():
        return None
    keeps = PartialState().is_main_process
    tuned = ((name, each) for name, each in model.named_parameters() if each.requires_grad)
    gathered = ((name, _plain(whole(each).detach())) for name, each in tuned)
    return {name: each for name, each in gathered if keeps}


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor that may lie in parts in several processes, which all must call this."""
    if is_part(tensor):
        return gathered(tensor)
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _plain(tensor: Tensor) -> Tensor:
    """Return a tensor on the CPU that has memory of its own: one that was gathered there may still be waited for."""
    return tensor.cpu() if tensor.device.type != "cpu" else tensor.clone()
