"""Folders in which a run may be, and go on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from instruct_mner.errors import ConfigError, DataError
from instruct_mner.training.checkpoints import (
    COMPLETE,
    check_run_folder,
    is_done,
    mark_complete,
    open_run_folder,
    remove_old,
)
from instruct_mner.training.config import FinetuneConfig


def config_of(folder: Path, model: str, **changes: object) -> FinetuneConfig:
    values = {"model": model, "data": {"train": "posts.jsonl"}, "output": str(folder), **changes}
    return FinetuneConfig.model_validate(values)


@pytest.mark.parametrize(("model", "goes_on"), [("smollm2", True), ("starter", False)])
def test_a_run_of_a_model_that_reads_text_only_goes_on_under_the_config_that_began_it(
    tmp_path: Path, model: str, goes_on: bool
) -> None:
    """The config in its folder says that no picture is shown."""
    (tmp_path / "config.yaml").write_text(config_of(tmp_path, model, max_images=0).to_yaml())
    if goes_on:
        check_run_folder(config_of(tmp_path, model), resume=True)
    else:
        with pytest.raises(ConfigError, match=r"(?s)settings are not those.*\+max_images: 1"):
            check_run_folder(config_of(tmp_path, model), resume=True)
    with pytest.raises(ConfigError, match=r"(?s)settings are not those.*\+seed: 3"):
        check_run_folder(config_of(tmp_path, model, max_images=0, seed=3), resume=True)


def test_a_finished_run_of_other_settings_is_not_taken_for_this_one(tmp_path: Path) -> None:
    config = config_of(tmp_path, "starter")
    assert not is_done(config)
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    (tmp_path / "README.md").write_text("the card, which is written last")
    assert is_done(config)
    with pytest.raises(ConfigError, match=r"(?s)settings are not those.*\+seed: 3"):
        is_done(config_of(tmp_path, "starter", seed=3))


def test_fine_tuning_is_the_same_whatever_the_section_of_reinforcement_says(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(config_of(tmp_path, "starter").to_yaml())
    check_run_folder(config_of(tmp_path, "starter", reinforcement={"learning_rate": 0.5}), resume=True)
    reinforced = {"output": str(tmp_path), "learning_rate": 0.5}
    with pytest.raises(ConfigError, match=r"(?s)settings are not those.*learning_rate: 0.5"):
        check_run_folder(config_of(tmp_path, "starter", reinforcement=reinforced), resume=True)


@pytest.mark.parametrize("name", ["output", "reinforcement.output"])
def test_messages_name_the_setting_that_names_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("in use")
    own = {"reinforcement": {"output": str(tmp_path)}} if name != "output" else {}
    with pytest.raises(ConfigError, match=rf"^{name}: .*--set {name}=…") as raised:
        check_run_folder(config_of(tmp_path, "starter", **own), resume=False)
    assert name in str(raised.value)


def test_a_folder_of_features_that_cannot_be_made_is_told_before(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in use")
    (tmp_path / "link").symlink_to("gone")
    for name, message in (("file", "is a file"), ("link", "is a link to gone")):
        with pytest.raises(ConfigError, match=message):
            config = config_of(tmp_path / "run", "starter", vision_cache={"folder": str(tmp_path / name)})
            check_run_folder(config, resume=False)


@pytest.mark.parametrize("name", ["output", "reinforcement.output"])
def test_a_run_that_was_moved_goes_on_in_its_new_place(name: str, tmp_path: Path) -> None:
    def config(folder: Path, **changes: object) -> FinetuneConfig:
        own = {"reinforcement": {"output": str(folder)}} if name != "output" else {}
        return config_of(folder, "starter", **own, **changes)

    before, after, link = tmp_path / "before", tmp_path / "after", tmp_path / "link"
    before.mkdir()
    (before / "config.yaml").write_text(config(before).to_yaml())
    before.rename(after)
    link.symlink_to("after")
    for place in (after, link):
        check_run_folder(config(place), resume=True)
        with pytest.raises(ConfigError, match=r"(?s)settings are not those of [^\n]*\n  -seed: 0\n  \+seed: 3$"):
            check_run_folder(config(place, seed=3), resume=True)


def made_checkpoint(folder: Path, step: int, *, best: int | None = None, is_complete: bool = True) -> Path:
    checkpoint = folder / "checkpoints" / f"checkpoint-{step}"
    (checkpoint / "parts").mkdir(parents=True)
    (checkpoint / "parts" / "weights").write_bytes(b"weights")
    (checkpoint / "optimizer.pt").write_bytes(b"moments")
    (checkpoint / "trainer_state.json").write_text(json.dumps({"best_global_step": best}))
    if is_complete:
        mark_complete(checkpoint)
    return checkpoint


@pytest.mark.parametrize(
    ("best", "kept"), [(None, {6, 9}), (3, {3, 9}), (6, {6, 9}), (9, {6, 9})], ids=["none", "old", "before", "newest"]
)
def test_the_newest_the_best_and_else_the_one_before_are_kept(best: int | None, kept: set[int], tmp_path: Path) -> None:
    for step in (3, 6, 9):
        made_checkpoint(tmp_path, step)
    made_checkpoint(tmp_path, 7, is_complete=False)
    remove_old(tmp_path / "checkpoints" / "checkpoint-9", best)
    assert {int(path.name.removeprefix("checkpoint-")) for path in (tmp_path / "checkpoints").iterdir()} == kept


def test_a_checkpoint_that_is_being_removed_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(tmp_path, "starter")
    for step in (3, 6, 9):
        made_checkpoint(tmp_path, step, best=3)

    def dies(path: Path, **named: object) -> None:
        (path / "optimizer.pt").unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", dies)
    newest = tmp_path / "checkpoints" / "checkpoint-9"
    with pytest.raises(KeyboardInterrupt):
        remove_old(newest, 3)
    assert not (newest.with_name("checkpoint-6") / COMPLETE).exists()
    assert open_run_folder(config) == newest
    (newest / COMPLETE).unlink()  # killed before the newest was complete, by a version that marked it afterwards
    assert open_run_folder(config) == newest.with_name("checkpoint-3")


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        ({6: "parts/weights"}, r"checkpoint-6 is damaged: parts/weights is missing; .*goes on from checkpoint-3$"),
        ({6: "optimizer.pt"}, r"checkpoint-6 is damaged: optimizer\.pt is missing; remove this folder"),
        ({3: "optimizer.pt"}, r"checkpoint-3, the best so far, is damaged: .*--set output=…"),
        ({3: COMPLETE}, r"checkpoint-3, the best so far, is damaged: complete is missing"),
    ],
)
def test_a_damaged_checkpoint_is_told_with_what_to_do(damaged: dict[int, str], message: str, tmp_path: Path) -> None:
    made = {step: made_checkpoint(tmp_path, step, best=3) for step in (3, 6)}
    config = config_of(tmp_path, "starter")
    assert open_run_folder(config) == made[6]
    for step, name in damaged.items():
        (made[step] / name).unlink()
    with pytest.raises(DataError, match=message):
        open_run_folder(config)


def test_a_checkpoint_that_was_cut_is_told_and_without_it_the_run_begins_anew(tmp_path: Path) -> None:
    checkpoint = made_checkpoint(tmp_path, 6)
    (checkpoint / "optimizer.pt").write_bytes(b"mom")
    with pytest.raises(
        DataError, match=r"optimizer\.pt has 3 bytes of 7; remove this folder, and --resume begins anew"
    ):
        open_run_folder(config_of(tmp_path, "starter"))
