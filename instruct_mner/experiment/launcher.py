"""Several processes of a training, one for each GPU, by the launcher of accelerate."""

from __future__ import annotations

import os

import torch

from instruct_mner.errors import ConfigError

# All settings are named, so that neither a config of accelerate on this machine nor the number of GPUs changes a run,
# and port 0 is a free one. `--cpu` alone starts one process, whatever is asked for (accelerate 1.15): the several of
# `--multi_gpu` are told to use the CPU by the environment.
_FLAGS = ("--multi_gpu", "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
          "--main_process_port", "0")  # fmt: skip


def check_processes(num_processes: int) -> None:
    """Refuse more processes than a machine has GPUs, or, without a GPU, than it has CPUs.

    Args:
        num_processes: Number of processes of a training.

    Raises:
        ConfigError: There are more.
    """
    num_gpus, num_cpus = torch.cuda.device_count(), os.cpu_count() or 1
    most = num_gpus or num_cpus
    if num_processes > most:
        here = f"{num_gpus} GPU(s)" if num_gpus else f"no GPU that PyTorch sees and {num_cpus} CPU(s)"
        raise ConfigError(f"--processes {num_processes}: this machine has {here}; give at most {most}")


def launch_arguments(num_processes: int) -> list[str]:
    """Return the arguments of Python that come before a module; those of a single process are none of the launcher.

    Args:
        num_processes: Number of processes.
    """
    if num_processes == 1:
        return ["-m"]
    return ["-m", "accelerate.commands.launch", "--num_processes", str(num_processes), *_FLAGS, "-m"]


def launch_environment(num_processes: int) -> dict[str, str]:
    """Return the environment of a command: this one, and without a GPU the order to use CPUs.

    Args:
        num_processes: Number of processes.
    """
    on_cpus = num_processes > 1 and not torch.cuda.device_count()
    return {**os.environ, **({"ACCELERATE_USE_CPU": "true"} if on_cpus else {})}
