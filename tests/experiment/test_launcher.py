"""Trainings of an experiment in several processes, by the launcher of accelerate."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch
from accelerate.commands.launch import launch_command_parser
from made_experiment import killed_at_checkpoint, plan_of

from instruct_mner.errors import ConfigError
from instruct_mner.experiment import children
from instruct_mner.experiment.launcher import check_processes, launch_arguments, launch_environment


def test_the_launcher_of_accelerate_takes_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    commands: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(children, "_guarded", lambda command, environment: commands.append((command, environment)))
    children.call("finetune", "x.yaml", "--resume", num_processes=2)
    children.call("tag", "posts")
    [(several, on_gpus), (one, _)] = commands
    assert several[:3] == [sys.executable, "-m", "accelerate.commands.launch"]
    launched = launch_command_parser().parse_args(several[3:])
    assert (launched.module, launched.training_script) == (True, "instruct_mner")
    assert launched.training_script_args == ["finetune", "x.yaml", "--resume"]
    assert (launched.multi_gpu, launched.num_processes, launched.main_process_port) == (True, 2, 0)
    assert "ACCELERATE_USE_CPU" not in on_gpus.keys() - os.environ.keys()
    assert one == [sys.executable, "-m", "instruct_mner", "tag", "posts"]


def test_without_a_gpu_several_processes_are_told_to_use_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert launch_environment(2)["ACCELERATE_USE_CPU"] == "true"
    assert launch_environment(1) == dict(os.environ)
    assert launch_arguments(1) == ["-m"]


@pytest.mark.parametrize(
    ("num_gpus", "message"),
    [
        (2, r"--processes 3: this machine has 2 GPU\(s\); give at most 2"),
        (0, r"--processes 3: this machine has no GPU that PyTorch sees and 2 CPU\(s\); give at most 2"),
    ],
)
def test_more_processes_than_the_machine_has_are_refused_before_anything_is_read(
    num_gpus: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: num_gpus)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with pytest.raises(ConfigError, match=message):
        plan_of(tmp_path, ["plain"], num_processes=3)
    check_processes(2)


def command(folder: Path) -> list[str]:
    settings = ["optimizer.max_steps=4", "optimizer.batch_size=2", "evaluation.every_steps=2", "evaluation.posts=4"]
    return [
        sys.executable, "-m", "instruct_mner", "experiment", str(folder / "data"), "--model", "starter",
        "--arms", "plain", "--seeds", "2", "--processes", "2", "-o", str(folder / "out"), "--resamples", "100",
        *(part for each in settings for part in ("--set", each)),
    ]  # fmt: skip


def trainings(folder: Path) -> list[psutil.Process]:
    """Return all processes with a config of the experiment among their arguments."""
    return [
        process
        for process in psutil.process_iter()
        if any(str(folder / "out") in word and word.endswith(".yaml") for word in _words(process))
    ]


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.mark.prove
@pytest.mark.timeout(1800)
def test_two_processes_train_each_run_and_end_with_an_experiment_that_is_killed(tmp_path: Path) -> None:
    with killed_at_checkpoint("plain-1", command(tmp_path), tmp_path, num_test=4) as out:
        # Guard, launcher, and a process of each rank.
        assert len(trainings(tmp_path)) == 4
    _, left = psutil.wait_procs(trainings(tmp_path), timeout=60)
    assert not left
    again = subprocess.run(command(tmp_path), capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "resuming  from checkpoint-" in again.stderr
    for run in ("plain-0", "plain-1"):
        assert (out / run / "adapter" / "adapter_model.safetensors").is_file()
        lines = [json.loads(line) for line in (out / run / "metrics.jsonl").read_text().splitlines()]
        # Two posts in each of two processes: 16 posts are an epoch of 4 steps.
        assert max(line.get("epoch", 0) for line in lines) == 1.0
        assert max(line["step"] for line in lines) == 4
    text = (out / "table.md").read_text()
    assert "| plain | 2 |" in text
    assert "Trained in 2 processes: 4 posts a step." in text
    assert json.loads((out / "experiment.json").read_text())["processes"] == 2
