"""Trackers get what `metrics.jsonl` gets, through Trainer's own callbacks."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
from runs import QUIET, config_of

from instruct_mner.errors import ConfigError
from instruct_mner.training import trackers
from instruct_mner.training.config import FinetuneConfig, load_config
from instruct_mner.training.finetune import finetune
from instruct_mner.training.precheck import precheck


@dataclass(frozen=True)
class TrackedRun:
    """A run of two steps with the trackers that are installed, its losses by step, and Trackio's folder."""

    folder: Path
    losses: dict[int, float]
    trackio: Path


@pytest.fixture(scope="module")
def tracked(tiny_models: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> TrackedRun:
    folder = tmp_path_factory.mktemp("tracked")
    installed = [name for name in ("tensorboard", "trackio") if find_spec(name)]
    changes = {"report_to": installed, "optimizer": {"max_steps": 2, "batch_size": 2}}
    config = load_config(config_of(tiny_models("idefics3"), folder, **changes))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
        if "trackio" in installed:
            patch.setattr("trackio.sqlite_storage.TRACKIO_DIR", folder / "trackio")
        run = finetune(config.model_copy(update={"data": config.data.model_copy(update={"dev": None})}), QUIET)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = {line["step"]: line["loss"] for line in lines if "loss" in line}
    assert len(losses) == 2
    return TrackedRun(run, losses, folder / "trackio")


@pytest.mark.slow
def test_tensorboard_is_told_every_loss_and_its_folder_stays(tracked: TrackedRun) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(tracked.folder / "tensorboard")).Reload()
    written = {event.step: event.value for event in events.Scalars("train/loss")}
    assert written == pytest.approx(tracked.losses, rel=1e-5)


@pytest.mark.slow
def test_trackio_is_told_every_loss_on_this_machine(tracked: TrackedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = pytest.importorskip("trackio.sqlite_storage", reason="trackio is not installed (pillow<13)")
    monkeypatch.setattr(storage, "TRACKIO_DIR", tracked.trackio)
    assert storage.SQLiteStorage.get_runs(trackers.PROJECT) == ["run"]
    lines = storage.SQLiteStorage.get_logs(trackers.PROJECT, "run")
    written = {line["train/global_step"]: line["train/loss"] for line in lines if "train/loss" in line}
    assert written == pytest.approx(tracked.losses, rel=1e-5)


def test_a_tracker_that_is_not_installed_is_named_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda module: None)
    config = load_config(config_of(Path("nowhere"), tmp_path, report_to=["wandb", "trackio"]))
    with pytest.raises(ConfigError, match=r"not installed:\n  wandb\n  trackio\n  pip install wandb trackio"):
        precheck(config)


def test_an_unknown_tracker_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"report_to\.0: .*'tensorboard'.*\(it is 'tensorbord'\)"):
        load_config(config_of(Path("nowhere"), tmp_path, report_to=["tensorbord"]))


def test_without_trackers_there_is_no_callback(tmp_path: Path) -> None:
    assert FinetuneConfig.model_validate({"model": "m", "data": {"train": "t"}, "output": "o"}).report_to == ()
    assert list(trackers.tracker_callbacks((), tmp_path)) == []
