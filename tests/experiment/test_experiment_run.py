"""An experiment on synthetic posts with the starter, killed once, then run again: no complete run is run twice."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from made_experiment import killed_at_checkpoint, plan_of, write_run
from runs import QUIET

from eval.gates.latex import check_latex
from instruct_mner.errors import ConfigError
from instruct_mner.experiment import children
from instruct_mner.experiment.children import call, wait_for_lock
from instruct_mner.experiment.plan import Plan
from instruct_mner.experiment.run import experiment
from instruct_mner.files import exclusive
from instruct_mner.training.config import load_config

ARMS, SEEDS = ("plain", "smner", "zero-shot"), 2
RUNS = {"plain-0", "smner-0", "zero-shot-0", "plain-1", "smner-1"}


def command(folder: Path) -> list[str]:
    settings = ["optimizer.max_steps=4", "optimizer.batch_size=4", "evaluation.every_steps=2", "evaluation.posts=4"]
    return [
        sys.executable, "-m", "instruct_mner", "experiment", str(folder / "data"), "--model", "starter",
        "--arms", ",".join(ARMS), "--seeds", str(SEEDS), "-o", str(folder / "out"), "--resamples", "500",
        *(part for each in settings for part in ("--set", each)),
    ]  # fmt: skip


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_an_experiment_that_was_killed_is_completed_by_the_same_command(tmp_path: Path) -> None:
    # In the middle of the second training: a checkpoint is there, and the run is not complete.
    with killed_at_checkpoint("smner-0", command(tmp_path), tmp_path, num_test=8) as out:
        pass
    complete = {path: path.stat().st_mtime_ns for path in out.glob("plain-0*") if path.is_file()}
    assert out / "plain-0.test.json" in complete
    assert not (out / "smner-0.test.json").exists()
    # What the tower computed of the pictures in the first run, the second one takes.
    assert len([*out.glob("vision/*/*.features")]) == 1
    again = subprocess.run(command(tmp_path), capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "resuming  from checkpoint-" in again.stderr
    assert {path: path.stat().st_mtime_ns for path in complete} == complete
    assert {path.name.removesuffix(".test.json") for path in out.glob("*.test.json")} == RUNS
    text = (out / "table.md").read_text()
    assert text.strip() == again.stdout.strip()
    assert "Not complete" not in text
    assert not (out / "vision").exists()
    assert re.search(r"^\| smner \| 2 \| \d+\.\d\d ± \d+\.\d\d \|", text, re.MULTILINE)
    if shutil.which("pdflatex"):
        check_latex((out / "table.tex").read_text())
    with (out / "table.csv").open() as file:
        systems = {row["system"] for row in csv.DictReader(file) if row["score"] == "micro"}
    assert systems == set(ARMS)
    print(text)


class Verbs:
    """Stand-in of the verbs: leaves what they leave, and fails once where it is to.

    Attributes:
        calls: Verb and name of the run of each call.
        fails_at: Call that fails, once.
    """

    def __init__(self, plan: Plan, fails_at: tuple[str, str]) -> None:
        self.runs = {run.name: run for run in plan.runs()}
        self.calls: list[tuple[str, str]] = []
        self.fails_at: tuple[str, str] | None = fails_at
        self.flags: dict[str, list[str]] = {}

    def __call__(self, verb: str, *arguments: object, num_processes: int = 1) -> None:
        path = Path(str(arguments[0] if verb == "finetune" else arguments[-1]))
        name = path.name.removesuffix(".yaml").removesuffix(".test.jsonl")
        self.calls.append((verb, name))
        self.flags[name] = list(map(str, arguments))
        if self.calls[-1] == self.fails_at:
            self.fails_at = None
            raise ConfigError("killed")
        if verb == "finetune":
            folder = load_config(path).vision_cache.folder
            assert folder is not None
            folder.mkdir(exist_ok=True)
            self.runs[name].folder.mkdir()
            (self.runs[name].folder / "README.md").touch()
        else:
            write_run(self.runs[name], 2)


def test_a_run_that_failed_is_made_again_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(tmp_path, ["plain", "left-out", "zero-shot"], seeds=2)
    verbs = Verbs(plan, fails_at=("tag", "plain-1"))
    monkeypatch.setattr("instruct_mner.experiment.run.call", verbs)
    with pytest.raises(ConfigError, match="killed"):
        experiment(plan.settings, QUIET, num_resamples=20)
    first = [("finetune", "plain-0"), ("tag", "plain-0"), ("tag", "left-out-0"), ("tag", "zero-shot-0")]
    assert verbs.calls == [*first, ("finetune", "plain-1"), ("tag", "plain-1")]
    assert (tmp_path / "out" / "vision").is_dir()
    assert "Not complete: plain-1, left-out-1" in (tmp_path / "out" / "table.md").read_text()
    verbs.calls.clear()
    table = experiment(plan.settings, QUIET, num_resamples=20)
    assert verbs.calls == [("tag", "plain-1"), ("tag", "left-out-1")]
    assert not (tmp_path / "out" / "vision").exists()
    assert "| left-out | 2 |" in table.read_text()
    assert "Not complete" not in table.read_text()
    assert verbs.flags["left-out-1"][-4:-2] == ["--image-source", "none"]
    assert str(plan.settings.output / "plain-1") in verbs.flags["left-out-1"]
    assert verbs.flags["zero-shot-0"][1:3] == ["--model", "starter"]
    assert (tmp_path / "out" / "labels.yaml").read_text() == "- LOC\n- PER\n"
    verbs.calls.clear()
    experiment(plan.settings, QUIET, num_resamples=20)
    assert not verbs.calls


def test_a_verb_that_fails_ends_the_experiment_with_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "_guarded", lambda command, environment: 2)
    with pytest.raises(ConfigError, match=r"instruct-mner finetune x\.yaml --resume: ended with exit code 2"):
        call("finetune", tmp_path.relative_to(tmp_path) / "x.yaml", "--resume")
    monkeypatch.setattr(children, "_guarded", lambda command, environment: -9)
    with pytest.raises(ConfigError, match="was ended by SIGKILL"):
        call("tag", "x", num_processes=2)


def test_the_exit_status_of_a_command_comes_through_its_guard() -> None:
    assert children._guarded([sys.executable, "-c", "raise SystemExit(3)"]) == 3
    assert children._guarded([sys.executable, "-c", "import os, signal; os.kill(os.getpid(), 15)"]) == -15


def test_an_output_that_is_still_written_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_for_lock(tmp_path / "free")
    monkeypatch.setattr("instruct_mner.vllm_runtime.process_guard.GRACE_SECONDS", -10)
    with exclusive(tmp_path / "held"), pytest.raises(ConfigError, match="is being written by another run"):
        wait_for_lock(tmp_path / "held")
