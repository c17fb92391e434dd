from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import yaml

from instruct_mner.errors import ConfigError
from instruct_mner.training.checkpoints import check_run_folder
from instruct_mner.training.config import FinetuneConfig, load_config

MINIMAL = {"model": "m", "data": {"train": "t.jsonl"}, "output": "runs/a"}


def written(folder: Path, values: object) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_a_config_comes_back_as_it_was(tmp_path) -> None:
    config = load_config(written(tmp_path, {**MINIMAL, "labels": {"PER": "people"}}))
    again = tmp_path / "again.yaml"
    again.write_text(config.to_yaml())
    assert load_config(again) == config


def test_defaults_follow_the_tuning() -> None:
    lora = FinetuneConfig.model_validate(MINIMAL)
    full = FinetuneConfig.model_validate({**MINIMAL, "tuning": "full", "answer": {"grounded": True}})
    assert (lora.learning_rate, lora.prompt_name) == (2e-4, "tag")
    assert (full.learning_rate, full.prompt_name) == (2e-5, "tag-grounded")


def test_all_problems_are_told_at_once_with_the_nearest_key(tmp_path) -> None:
    wrong = {
        "modle": "m",
        "data": {"trian": "t"},
        "optimizer": {"epochs": -1, "batchsize": 4},
        "lora": {"rank": 7},
    }
    with pytest.raises(ConfigError) as raised:
        load_config(written(tmp_path, wrong))
    message = str(raised.value)
    for part in ("did you mean 'model'", "did you mean 'train'", "optimizer.epochs", "did you mean 'batch_size'",
                 "lora.rank", "model: is needed", "output: is needed", "data.train: is needed"):  # fmt: skip
        assert part in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b", "mapping"),
        ("a: [", "not YAML"),
        ("output: 2024-13-45", "not YAML: month must be"),
        ("", "mapping"),
        (None, "no such file"),
    ],
)
def test_files_that_are_no_config(tmp_path, text: str | None, message: str) -> None:
    path = tmp_path / "config.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["A", "A"]}, "twice"),
        ({"labels": ["A: B"]}, "separates"),
        ({"model": ""}, "model: an empty text; give a value, or leave the setting out"),
        ({"output": ""}, "output: an empty text"),
        ({"data": {"train": ""}}, r"data\.train: an empty text"),
        ({"data": {"train": "t", "evaluate_on": ["a", ""]}}, r"data\.evaluate_on: an empty text"),
        ({"vision_cache": {"folder": ""}}, r"vision_cache\.folder: an empty text"),
        ({"optimizer": {"max_steps": 10**23}}, r"optimizer\.max_steps: .*1000000000"),
        ({"optimizer": {"epochs": 1e300}}, r"optimizer\.epochs: .*100000"),
        ({"reinforcement": {"epochs": 1e300}}, r"reinforcement\.epochs: .*100000"),
        ({"labels": []}, r"(?<![.])labels: must not be empty: at least 1"),
        ({"pixels": {"max_pixels": 0}}, "pixels.max_pixels: Input should be greater than or equal to 1"),
        ({"pixels": {"min_pixels": -5}}, "pixels.min_pixels: Input should be greater than or equal to 1"),
        ({"labels": [" A"]}, "space at its edge"),
        ({"answer": {"grounded": True}, "max_images": 0}, "max_images"),
        ({"output": 2024}, "output: expected a text, a string; put it into quotes"),
        ({"output": date(2024, 1, 5)}, "put it into quotes"),
        ({"answer": {"format": "jsno"}}, "answer.format"),
        ({"augmentation": {"drop_picture": 1.5}}, "augmentation.drop_picture"),
        ({"augmentation": {"jitter_box": 0.1}}, "did you mean 'jitter_boxes'"),
    ],
)
def test_settings_that_do_not_fit(tmp_path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(written(tmp_path, {**MINIMAL, **changes}))


def test_the_old_name_of_share_prompt_prefix_is_still_read(tmp_path) -> None:
    old = load_config(written(tmp_path, {**MINIMAL, "optimizer": {"lean": True}}))
    assert old.optimizer.share_prompt_prefix
    assert old == load_config(written(tmp_path, {**MINIMAL, "optimizer": {"share_prompt_prefix": True}}))
    assert "lean" not in yaml.safe_load(old.to_yaml())["optimizer"]
    with pytest.raises(ConfigError, match="old name of share_prompt_prefix"):
        load_config(written(tmp_path, {**MINIMAL, "optimizer": {"lean": True, "share_prompt_prefix": False}}))


def test_a_run_of_an_older_version_is_resumed_under_its_old_settings(tmp_path) -> None:
    config = load_config(written(tmp_path, {**MINIMAL, "output": str(tmp_path / "run"), "optimizer": {"lean": True}}))
    values = yaml.safe_load(config.to_yaml())
    values["optimizer"]["lean"] = values["optimizer"].pop("share_prompt_prefix")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    check_run_folder(config, resume=True)
    other = config.model_copy(update={"seed": 7})
    with pytest.raises(ConfigError, match="seed: 7"):
        check_run_folder(other, resume=True)


def test_a_home_folder_is_that_of_the_shell(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    values = {
        **MINIMAL,
        "data": {"train": "conll:~/t.txt", "evaluate_on": ["~/e.jsonl", "a~/b"]},
        "prompt": "~/p.jinja",
    }
    config = load_config(written(tmp_path, values), ["output=~/runs/~/b"])
    home = tmp_path / "home"
    assert config.data.train == f"conll:{home}/t.txt"
    assert config.data.evaluate_on == (f"{home}/e.jsonl", "a~/b")
    assert (config.prompt, config.output) == (f"{home}/p.jinja", home / "runs/~/b")
