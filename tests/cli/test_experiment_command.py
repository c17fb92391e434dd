"""Flags of the verb `experiment` arrive in the settings of the experiment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from instruct_mner.cli import experiment as verb
from instruct_mner.experiment import estimate, run
from instruct_mner.experiment.arms import known_arms
from instruct_mner.experiment.plan import ExperimentSettings


def test_flags_arrive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    taken: list[tuple[ExperimentSettings, int]] = []

    def experiment(settings: ExperimentSettings, console: object, *, num_resamples: int) -> Path:
        taken.append((settings, num_resamples))
        (tmp_path / "table.md").write_text("the table\n")
        return tmp_path / "table.md"

    monkeypatch.setattr(run, "experiment", experiment)
    monkeypatch.setattr(sys, "argv", ["instruct-mner", "experiment", "a b"])
    verb.run("gmner", model="m", output=tmp_path, arms="plain, ita,", seeds=5, folder=tmp_path / "f", processes=2,
             overrides=["seed=1"], resamples=7)  # fmt: skip
    [(settings, num_resamples)] = taken
    assert (settings.data, settings.model, settings.arms, settings.num_seeds) == ("gmner", "m", ("plain", "ita"), 5)
    assert (settings.folder, settings.num_processes, settings.overrides) == (tmp_path / "f", 2, ("seed=1",))
    assert (settings.command, num_resamples) == ("instruct-mner experiment 'a b'", 7)
    assert capsys.readouterr().out == "the table\n\n"


def test_a_dry_run_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described: list[ExperimentSettings] = []
    monkeypatch.setattr(estimate, "describe_experiment", lambda settings, console: described.append(settings))
    verb.run("data", model="m", output=tmp_path, dry_run=True)
    assert [each.arms for each in described] == [("plain", "text-only", "shuffled")]


def test_the_help_names_every_arm() -> None:
    source = Path(verb.__file__).read_text(encoding="utf-8")
    assert not [name for name in known_arms() if name not in source]
