"""Fine-tuning in two processes whose weights lie in parts (FSDP2, ZeRO-3), on CPUs.

    python sharded_driver.py CONFIG [--launch fsdp2|zero3] [--resume] [--end-after STEP]

Source: accelerate 1.15 takes FSDP and DeepSpeed on GPUs only (``AcceleratorState.__init__``); both run on CPUs too, so
that its state is put right here. Can go when accelerate does so itself.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import socket
import sys
from pathlib import Path

from accelerate import state
from rich.console import Console
from transformers import TrainerCallback

from instruct_mner.training import finetune as module
from instruct_mner.training.config import load_config

SETTINGS = {
    "fsdp2": {
        "ACCELERATE_USE_FSDP": "true",
        "ACCELERATE_USE_CPU": "true",
        "FSDP_VERSION": "2",
        "FSDP_CPU_RAM_EFFICIENT_LOADING": "true",
        "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
        "FSDP_RESHARD_AFTER_FORWARD": "true",
        "FSDP_STATE_DICT_TYPE": "SHARDED_STATE_DICT",
    },
    "zero3": {
        "ACCELERATE_USE_DEEPSPEED": "true",
        "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3",
        "DS_ACCELERATOR": "cpu",
    },
}
PROCESSES = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}


def allow_cpus_to_fsdp() -> None:
    """Let accelerate's state take FSDP on CPUs."""
    whole = state.AcceleratorState.__init__

    def patched(self, *arguments, fsdp_plugin=None, **named) -> None:
        whole(self, *arguments, fsdp_plugin=fsdp_plugin, **named)
        if fsdp_plugin is not None:
            self.distributed_type = state.DistributedType.FSDP
            state.PartialState._shared_state["distributed_type"] = self.distributed_type
            if self.mixed_precision != "no":
                fsdp_plugin.set_mixed_precision(self.mixed_precision)
            self.fsdp_plugin = fsdp_plugin

    state.AcceleratorState.__init__ = patched


def allow_cpus_to_deepspeed() -> None:
    """Let accelerate's states take DeepSpeed on CPUs, and DeepSpeed compile nothing."""
    import deepspeed.ops

    deepspeed.ops.__compatible_ops__ = {}
    state.PartialState._prepare_backend = lambda *_: ("gloo", state.DistributedType.MULTI_CPU)
    for each in (state.PartialState, state.AcceleratorState):

        def patched(self, *arguments, whole=each.__init__, **named) -> None:
            named.pop("cpu", None)
            whole(self, *arguments, **named)

        each.__init__ = patched


class End(TrainerCallback):
    """Ends the process, as a kill would, after the checkpoint of a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args, state, control, **kwargs) -> None:
        if state.global_step == self.step:
            os._exit(0)


def process(rank: int, chosen: argparse.Namespace) -> None:
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
    if chosen.end_after is not None:
        build = module.build_trainer

        def build_trainer(*arguments):
            trainer = build(*arguments)
            trainer.add_callback(End(chosen.end_after))
            return trainer

        module.build_trainer = build_trainer
    config = load_config(chosen.config)
    module.finetune(config, Console(quiet=rank > 0), resume=chosen.resume)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--end-after", type=int)
    parser.add_argument("--launch", choices=sorted(SETTINGS), default="fsdp2")
    chosen = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ.update(PROCESSES, **SETTINGS[chosen.launch], MASTER_PORT=str(port))
    (allow_cpus_to_fsdp if chosen.launch == "fsdp2" else allow_cpus_to_deepspeed)()
    fork = multiprocessing.get_context("fork")
    started = [fork.Process(target=process, args=(rank, chosen)) for rank in (0, 1)]
    for each in started:
        each.start()
    for each in started:
        each.join()
    return max(abs(each.exitcode or 0) for each in started)


if __name__ == "__main__":
    sys.exit(main())
