"""Posts of the user to a config: imported, split, with their types."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from command import exit_code
from PIL import Image

from instruct_mner.data.importing.writing import ImportOptions
from instruct_mner.data.loading import load_split
from instruct_mner.errors import ConfigError, DataError
from instruct_mner.quickstart.own_data import has_splits, import_own_data
from instruct_mner.quickstart.project import write_own_project
from instruct_mner.training.config import load_config


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "pics").mkdir()
    with (tmp_path / "posts.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "image", "entities"])
        for number in range(20):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "pics" / f"{number}.jpg")
            name, place = f"Anna{number}", f"Oslo{number}"
            entities = [{"text": name, "label": "PER"}, {"text": place, "label": "LOC"}]
            rows.writerow([f"{name} flew to {place}", f"{number}.jpg", json.dumps(entities)])
    return tmp_path / "posts.csv"


def test_a_table_becomes_a_project(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = ImportOptions(images=Path("pics"))
    config, own = write_own_project(Path("mine"), "posts.csv", options, model="some/model", share=0.2)
    settings = load_config(config)
    assert (settings.model, settings.data.train, settings.data.dev) == (
        "some/model", "mine/train.jsonl", "mine/dev.jsonl",
    )  # fmt: skip
    assert settings.output == Path("mine/run")
    assert settings.labels is not None
    assert settings.labels.names == own.labels.names == ("LOC", "PER")
    train, dev = (load_split(f"mine/{name}.jsonl") for name in ("train", "dev"))  # which has all of its pictures
    assert (len(train.examples), len(dev.examples)) == (16, 4)
    assert own.notes[-1] == "20 posts with 40 entities of the types LOC, PER"


def test_its_own_splits_are_kept(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        (tmp_path / f"{split}.txt").write_text(f"{split}\tB-PER\n")
    own = import_own_data(str(tmp_path), tmp_path / "out", ImportOptions(), share=0.1, seed=0)
    assert [path and path.name for path in (own.train, own.dev, own.test)] == ["train.jsonl", "dev.jsonl", "test.jsonl"]
    assert has_splits(str(tmp_path))
    assert not has_splits(str(tmp_path / "train.txt"))
    config, _ = write_own_project(tmp_path / "mine", str(tmp_path), ImportOptions())
    assert load_config(config).data.evaluate_on == (str(tmp_path / "mine" / "test.jsonl"),)


def test_the_types_are_those_of_all_splits(tmp_path: Path) -> None:
    """A type of a single post is held out with it; the config names it all the same."""
    rows = [
        {"text": f"Anna {number}", "entities": [{"start": 0, "end": 4, "label": f"T{number}"}]} for number in range(6)
    ]
    data = tmp_path / "posts.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config, own = write_own_project(tmp_path / "mine", str(data), ImportOptions(), share=0.2)
    names = ("T0", "T1", "T2", "T3", "T4", "T5")
    settings = load_config(config)
    assert settings.labels is not None
    assert settings.labels.names == own.labels.names == names
    assert own.dev is not None
    [held] = load_split(str(own.dev)).examples
    assert own.notes[-2:] == (
        f"{own.dev}: types, with their mentions, that stand in no post of {own.train}: {held.gold[0].label} (1)",
        "6 posts with 6 entities of the types T0, T1, T2, T3, T4, T5",
    )
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.txt").write_text(f"{split}\tB-{split.upper()}\n")
    own = import_own_data(str(tmp_path), tmp_path / "out", ImportOptions(), share=0.1, seed=0)
    assert own.labels.names == ("DEV", "TEST", "TRAIN")


@pytest.mark.parametrize(("share", "dev"), [(0.0, None), (0.5, "dev.jsonl")])
def test_a_share_of_none_holds_nothing_out(share: float, dev: str | None, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Anna\tB-PER\n\nBob\tB-PER\n")
    own = import_own_data(str(tmp_path / "a.txt"), tmp_path / "out", ImportOptions(), share=share, seed=0)
    assert (own.dev and own.dev.name) == dev


def test_nothing_is_left_of_data_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a", "entities": []}\n{"text": "b", "entities": []}\n')
    with pytest.raises(DataError, match=r"a\.jsonl: no post has an entity"):
        write_own_project(tmp_path / "mine", str(tmp_path / "a.jsonl"), ImportOptions(), share=0.5)
    assert not list((tmp_path / "mine").glob("*")) if (tmp_path / "mine").exists() else True
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(ConfigError, match="is not empty"):
        write_own_project(tmp_path / "full", str(tmp_path / "a.jsonl"), ImportOptions())


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    return exit_code(monkeypatch, *arguments)


def test_init_takes_data(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "init", tmp_path / "mine", "--data", table, "--images", tmp_path / "pics") == 0
    said = capsys.readouterr()
    assert "20 posts with 40 entities of the types LOC, PER" in said.err
    assert f"wrote {tmp_path / 'mine' / 'train.jsonl'}, {tmp_path / 'mine' / 'dev.jsonl'}" in said.out
    assert run(monkeypatch, "validate", tmp_path / "mine" / "train.jsonl") == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "name a config .*, or your posts by --data DATA"),
        (["c.yaml", "--data", "a.csv"], "--data goes without a config"),
        (["c.yaml", "--model", "m"], "--model goes without a config"),
    ],
)
def test_finetune_takes_a_config_or_data(
    arguments: list[str], reason: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    assert run(monkeypatch, "finetune", *arguments) == 2
    assert re.search(reason, capsys.readouterr().err)


def test_what_can_be_learned_is_kept_and_one_post_asks_for_a_share_of_none(tmp_path: Path) -> None:
    rows = [{"text": "Anna left", "entities": [{"start": 0, "end": 4, "label": "PER"}]}, {"text": "b", "entities": []}]
    data = tmp_path / "posts.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for seed in range(4):
        own = import_own_data(str(data), tmp_path / str(seed), ImportOptions(), share=0.1, seed=seed)
        assert own.labels.names == ("PER",)
    data.write_text(json.dumps(rows[0]) + "\n")
    with pytest.raises(ConfigError, match=r"give more posts, or hold none out .*init and finetune: --split 0"):
        import_own_data(str(data), tmp_path / "one", ImportOptions(), share=0.1, seed=0)


def test_the_splits_of_a_brat_folder_are_kept(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "valid", "test")):
        (tmp_path / "set" / split).mkdir(parents=True)
        (tmp_path / "set" / split / f"{number}.txt").write_text(f"{split} left")
        (tmp_path / "set" / split / f"{number}.ann").write_text(f"T1\tPER 0 {len(split)}\t{split}\n")
    own = import_own_data(str(tmp_path / "set"), tmp_path / "out", ImportOptions(), share=0.1, seed=0)
    assert [path and path.name for path in (own.train, own.dev, own.test)] == ["train.jsonl", "dev.jsonl", "test.jsonl"]
