"""Folders in which a run may be, and go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from instruct_mner.errors import ConfigError
from instruct_mner.training.checkpoints import check_run_folder, is_done
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
