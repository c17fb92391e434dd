"""A folder to start from: what is written, how paths are quoted, and what is refused."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import yaml
from PIL import Image

from instruct_mner.data.importing.writing import ImportOptions
from instruct_mner.errors import ConfigError, DataError
from instruct_mner.quickstart import project
from instruct_mner.quickstart.project import write_own_project, write_project

POST = '{"id": "1", "text": "Ann", "entities": [{"start": 0, "end": 3, "text": "Ann", "label": "PER"}]}\n'

ADAPTERS = Path(__file__).resolve().parents[2] / "adapters"


@pytest.mark.parametrize("name", ["mine", 'a "quoted": {{ folder }} é #1'])
def test_paths_in_the_config_are_those_that_were_given(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config, posts = write_project(Path(name))
    assert (config, posts) == (Path(name) / "config.yaml", Path(name) / "posts.jsonl")
    values = yaml.safe_load(config.read_text(encoding="utf-8"))
    assert values["data"]["train"] == str(posts)
    assert values["output"] == str(Path(name) / "run")
    assert len(posts.read_text(encoding="utf-8").splitlines()) == 12
    assert "{{" not in config.read_text(encoding="utf-8").replace(name.replace('"', '\\"'), "")


def test_a_model_that_was_measured_gets_its_recipe(tmp_path: Path) -> None:
    recipe = yaml.safe_load((ADAPTERS / "smollm2.yaml").read_text())
    written = {}
    for model in ("smollm2", "some/model"):
        config, _ = write_project(tmp_path / model, model=model)
        written[model] = yaml.safe_load(config.read_text(encoding="utf-8"))
    own, other = written["smollm2"], written["some/model"]
    for section, values in recipe.items():
        assert own[section] == {**other[section], **values}
    assert {key: value for key, value in own.items() if key not in {*recipe, "model", "output", "data"}} == {
        key: value for key, value in other.items() if key not in {*recipe, "model", "output", "data"}
    }


def test_the_same_files_are_written_each_time(tmp_path: Path) -> None:
    write_project(tmp_path / "one")
    write_project(tmp_path / "two")
    names = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert {"config.yaml", "posts.jsonl"} < {name.as_posix() for name in names}
    for name in names:
        one, other = (tmp_path / "one" / name).read_bytes(), (tmp_path / "two" / name).read_bytes()
        assert one == other.replace(str(tmp_path / "two").encode(), str(tmp_path / "one").encode())
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("mine")
    with pytest.raises(ConfigError, match="mine is not empty, and init overwrites nothing"):
        write_project(tmp_path / "mine")
    with pytest.raises(ConfigError, match="notes is a file; name a new or empty folder"):
        write_project(tmp_path / "mine" / "notes")
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "notes"]


@pytest.mark.parametrize("is_there", [True, False])
def test_on_a_full_disk_nothing_is_left_and_the_same_command_follows(
    is_there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_there:
        (tmp_path / "mine").mkdir()
    save = Image.Image.save

    def full(image: Image.Image, path: Path) -> None:
        if path.name == "crest.png":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(image, path)

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", full)
        with pytest.raises(DataError, match=r"mine/pictures/crest.png: cannot be written: No space left.*make room"):
            write_project(tmp_path / "mine")
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"] * is_there
    data = tmp_path / "posts.jsonl"
    data.write_text(POST)
    with monkeypatch.context() as patch:
        patch.setattr(project, "_write_config", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write_own_project(tmp_path / "mine", str(data), ImportOptions(), share=0)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["mine"] * is_there + ["posts.jsonl"]
    write_project(tmp_path / "mine")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_project(tmp_path / "file" / "mine")
