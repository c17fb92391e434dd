from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from command import exit_code

from instruct_mner.alignment.settings import AlignmentSettings
from instruct_mner.data.loading import load_split
from instruct_mner.quickstart.example_posts import dozen
from instruct_mner.schema.settings import Settings
from instruct_mner.training.config import FinetuneConfig, load_config
from instruct_mner.training.trainable import check_trainable


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    return exit_code(monkeypatch, *arguments)


@pytest.mark.parametrize("name", ["mine", "a folder: with 'quotes' # & <signs> é"])
def test_what_it_writes_can_be_used(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "init", name) == 0
    output = capsys.readouterr()
    config = load_config(Path(name) / "config.yaml")
    assert config.data.train == f"{name}/posts.jsonl"
    assert config.output == Path(name) / "run"
    assert load_split(config.data.train).examples == dozen()
    assert output.err == ""
    commands = [line.split()[1] for line in output.out.splitlines() if line.startswith("  instruct-mner")]
    assert commands == ["validate", "finetune", "finetune"]
    assert output.out.count("--dry-run") == 1


def test_validate_accepts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "init", tmp_path / "mine") == 0
    assert run(monkeypatch, "validate", tmp_path / "mine" / "posts.jsonl") == 0
    assert capsys.readouterr().err == ""


def test_settings_are_defaults_where_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "mine"
    assert run(monkeypatch, "init", folder) == 0
    config = load_config(folder / "config.yaml")
    ours = {
        "model": "HuggingFaceTB/SmolVLM-256M-Instruct",
        "data": {"train": str(folder / "posts.jsonl")},
        "labels": config.labels,
        "output": folder / "run",
    }
    assert config == FinetuneConfig.model_validate(ours)
    assert config.labels is not None
    assert config.labels.names == ("PER", "LOC", "ORG", "MISC")
    assert (folder / "config.yaml").read_text().count("# Yours.") == len(ours)


def keys(model: type[Settings]) -> dict[str, object]:
    nested = {name: field.annotation for name, field in model.model_fields.items()}
    return {
        name: keys(kind) if isinstance(kind, type) and issubclass(kind, Settings) else None
        for name, kind in nested.items()
    }


def test_every_setting_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "init", tmp_path / "mine") == 0
    values = yaml.safe_load((tmp_path / "mine" / "config.yaml").read_text())
    for name, section in keys(FinetuneConfig).items():
        assert name in values
        if isinstance(section, dict):
            assert set(values[name]) == set(section)
    assert set(values) == set(FinetuneConfig.model_fields)


def test_settings_of_objectives_in_comments_are_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "init", tmp_path / "mine") == 0
    section = (tmp_path / "mine" / "config.yaml").read_text().partition("\nalignment:\n")[2]
    names = AlignmentSettings.model_fields.keys() - {"head_learning_rate"}
    for name, settings in AlignmentSettings.model_validate({name: {} for name in names}).each():
        comment, _, section = section.partition(f"\n  {name}: null\n")
        listed = [yaml.safe_load(each) for each in re.findall(r"{.*?}", comment.replace("\n  #", ""), re.DOTALL)]
        # Further ones are of another choice than the default; `warmup_steps` is named once, above all objectives.
        values = {key: value for each in reversed(listed) for key, value in each.items()}
        assert {"warmup_steps": 0, **values} == settings.model_dump(mode="json"), name


def test_the_examples_can_be_trained_on_grounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from instruct_mner.answers.spec import AnswerSpec

    assert run(monkeypatch, "init", tmp_path / "mine") == 0
    config = load_config(tmp_path / "mine" / "config.yaml", ["answer.grounded=true"])
    assert config.labels is not None
    check_trainable(
        load_split(config.data.train).examples, AnswerSpec(labels=config.labels, grounded=config.answer.grounded)
    )


@pytest.mark.parametrize("taken", ["file", "folder"])
def test_it_overwrites_nothing(
    taken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "mine"
    kept = target if taken == "file" else target / "config.yaml"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("mine")
    assert run(monkeypatch, "init", target) == 2
    assert capsys.readouterr().err.startswith(f"error: {target} is ")
    assert kept.read_text() == "mine"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [kept]


def test_an_empty_folder_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "init", tmp_path) == 0
    assert (tmp_path / "config.yaml").is_file()


def test_help_is_light() -> None:
    heavy = ["numpy", "torch", "PIL", "rich", "transformers", "pydantic"]
    code = (
        "import sys; from instruct_mner.cli import init, demo; "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_share_of_all_posts_is_no_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "init", tmp_path / "mine", "--data", "posts.csv", "--split", 1) == 2
    assert "from 0, for none, to below 1" in " ".join(capsys.readouterr().err.split())
