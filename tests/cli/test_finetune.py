"""The main job from the command line, on a tiny model of every family."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from families import ONE_OF_EACH_KIND, TRAINED
from typer.testing import CliRunner

from instruct_mner import Tagger
from instruct_mner.cli import app
from instruct_mner.data.loading import load_split
from instruct_mner.errors import ConfigError, DataError, ModelError
from instruct_mner.models.manifest import Manifest
from instruct_mner.schema.records import Prediction
from instruct_mner.testing.posts import make_posts
from instruct_mner.training.setup import Run

RUNNER = CliRunner()


def config_of(base: Path, folder: Path, **changes: object) -> Path:
    posts = make_posts(folder / "posts")
    values = {
        "model": str(base),
        "data": {"train": str(posts), "dev": str(posts)},
        "labels": {"PER": "people", "LOC": None, "ORG": None, "MISC": None},
        "answer": {"grounded": True},
        "lora": {"rank": 8},
        "optimizer": {"max_steps": 4, "batch_size": 3},
        "evaluation": {"every_steps": 2},
        "seed": 5,
        "output": str(folder / "run"),
        **changes,
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def run(*arguments: object) -> str:
    result = RUNNER.invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def _with(family: Any, tuning: str) -> Any:
    """Return the parameters of a test, with the marks of the family."""
    if isinstance(family, str):
        return pytest.param(family, tuning)
    return pytest.param(*family.values, tuning, marks=family.marks)


@pytest.mark.parametrize(
    ("family", "tuning"),
    [
        *(_with(family, "lora") for family in TRAINED),
        *(_with(family, "full") for family in ONE_OF_EACH_KIND),
    ],
)
def test_finetune_tag_evaluate(family, tuning, tiny_models, tmp_path) -> None:
    config = config_of(tiny_models(family), tmp_path, tuning=tuning)
    run("finetune", config)
    folder = tmp_path / "run"
    weights = folder / ("adapter" if tuning == "lora" else "model")
    for name in ("config.yaml", "metrics.jsonl", "loss.png", "README.md"):
        assert (folder / name).stat().st_size > 0
    assert not (folder / "checkpoints").exists()
    assert not list(weights.glob("*.bin"))
    manifest, prompt = Manifest.load(weights)
    assert (manifest.family, manifest.tuning, manifest.seed, prompt.name) == (
        family,
        tuning,
        5,
        "tag-grounded.v1",
    )
    assert manifest.answer.labels.names == ("PER", "LOC", "ORG", "MISC")
    assert [stamp.role for stamp in manifest.datasets] == ["train", "dev"]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4]
    assert [line["step"] for line in lines if "eval_f1" in line] == [2, 4]

    posts, predictions = tmp_path / "posts" / "posts.jsonl", tmp_path / "predictions.jsonl"
    run("tag", posts, "--adapter" if tuning == "lora" else "--model", folder, "-o", predictions)
    found = [Prediction.model_validate_json(line) for line in predictions.read_text(encoding="utf-8").split("\n")[:-1]]
    assert [each.id for each in found] == [f"post-{number}" for number in range(6)]
    for each in found:
        assert each.rejected.hallucinated == 0
        assert all(entity.boxes is not None for entity in each.entities)
    assert found[1].images == ()

    report = json.loads(run("evaluate", posts, predictions, "--json", "--resamples", 100))
    assert report["gold"]["num_posts"] == 6
    assert report["micro"]["gold"] == 10
    assert report["triples"]["gmner"]["gold"] == 10


@pytest.mark.parametrize("family", ONE_OF_EACH_KIND)
def test_the_saved_adapter_is_the_best_one_of_the_run(family, tiny_models, tmp_path, monkeypatch) -> None:
    """Scores are made up so that the first evaluation wins; what is saved must answer as the model did then."""
    answers: list[list[Prediction]] = []

    def score_dev(self: Run, model: Any) -> dict[str, float]:
        assert self.dev is not None
        answers.append(list(self_tagger(self, model).predict(self.dev.examples, self.dev.picture_paths)))
        score = [0.9, 0.1][len(answers) - 1]
        return {"f1": score, "gmner_f1": score, "span_f1": 0.0, "rejected": 0.0}

    def self_tagger(self: Run, model: Any) -> Tagger:
        from instruct_mner.engines.transformers import TransformersEngine

        loaded = replace(self.loaded, model=model)
        return Tagger(TransformersEngine(loaded), self.manifest, self.prompt)

    monkeypatch.setattr(Run, "score_dev", score_dev)
    changes = {"optimizer": {"max_steps": 4, "batch_size": 3, "learning_rate": 0.01}}
    run("finetune", config_of(tiny_models(family), tmp_path, **changes))
    dataset = load_split(str(tmp_path / "posts" / "posts.jsonl"))
    tagger = Tagger.from_pretrained(tmp_path / "run")
    saved = list(tagger.predict(dataset.examples, dataset.picture_paths))
    assert [each.entities for each in answers[0]] != [each.entities for each in answers[1]]
    for one, other in zip(saved, answers[0], strict=True):
        assert [(e.start, e.end, e.label) for e in one.entities] == [(e.start, e.end, e.label) for e in other.entities]


def test_dry_run_shows_all_and_makes_nothing(tiny_models, tmp_path) -> None:
    config = config_of(tiny_models("idefics3"), tmp_path)
    shown = run("finetune", config, "--dry-run", "--set", "optimizer.epochs=7", "--set", "optimizer.warmup_steps=500")
    for part in (
        "optimizer.warmup_steps 500: in ",
        "epochs: 7",
        "Post: RT @ user : Jordan",
        "PER: Jordan [56",
        "image tokens",
        "carry the loss",
        "decoder",
        "14",
        "model.vision_model",
        "steps    4, about ",
        "dev      scored 2 times",
        "GiB of memory",
    ):
        assert part in shown
    assert "null" not in shown
    assert not (tmp_path / "run").exists()


def test_training_is_reported_to_nobody(tiny_models, tmp_path, monkeypatch) -> None:
    """TRL tells the hub of every trainer that is made, unless it sees that it runs in CI."""
    told: list[object] = []
    monkeypatch.setattr("trl.trainer.base_trainer.send_telemetry", lambda *values, **named: told.append(named))
    monkeypatch.delenv("CI", raising=False)
    run("finetune", config_of(tiny_models("idefics3"), tmp_path, optimizer={"max_steps": 1, "batch_size": 3}))
    assert not told


def test_json_answers_with_context_and_augmentation(tiny_models, tmp_path) -> None:
    config = config_of(
        tiny_models("qwen3_vl"),
        tmp_path,
        answer={"format": "json", "grounded": True},
        context=True,
        augmentation={"drop_picture": 0.5, "rename_labels": 1, "label_names": {"PER": ["person"]}, "jitter_boxes": 0.1},
    )
    shown = run("finetune", config, "--dry-run")
    assert '[{"text":"Jordan","label":"person","box":[' in shown
    assert "Types: person (people), LOC" in shown
    run("finetune", config)
    manifest, _ = Manifest.load(tmp_path / "run" / "adapter")
    assert (manifest.answer.format, manifest.context) == ("json", True)
    assert manifest.answer.labels.names == ("PER", "LOC", "ORG", "MISC")
    lines = run("tag", tmp_path / "posts" / "posts.jsonl", "--adapter", tmp_path / "run").split("\n")[:-1]
    for prediction in map(Prediction.model_validate_json, lines):
        assert prediction.rejected.hallucinated == 0
        assert {entity.label for entity in prediction.entities} <= set(manifest.answer.labels.names)


def test_the_same_seed_gives_the_same_losses_and_another_does_not(tiny_models, tmp_path) -> None:
    losses = []
    for name, seed in [("a", 5), ("b", 5), ("c", 6)]:
        config = config_of(
            tiny_models("idefics3"), tmp_path, seed=seed, output=str(tmp_path / name), evaluation={"posts": 1}
        )
        run("finetune", config)
        lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        losses.append([json.loads(line)["loss"] for line in lines if "loss" in json.loads(line)])
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


def test_a_run_folder_is_never_written_over(tiny_models, tmp_path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").touch()
    with pytest.raises(ConfigError, match="not empty"):
        run("finetune", config_of(tiny_models("idefics3"), tmp_path))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"labels": ["PER"]}, DataError, "outside the label set: LOC"),
        ({"labels": ["<image>", "PER", "LOC", "ORG", "MISC"]}, ConfigError, "special token"),
        ({"augmentation": {"label_names": {"PRE": ["x"]}}}, ConfigError, "did you mean 'PER'"),
        ({"augmentation": {"label_names": {"PER": ["<image>"]}}}, ConfigError, "special token"),
        ({"prompt": "tga"}, ConfigError, "did you mean 'tag'"),
        ({"pixels": {"min_pixels": 3}}, ModelError, "min_pixels"),
        ({"model": "no/such-model-anywhere"}, ModelError, "no/such-model-anywhere cannot be loaded"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_made(
    changes, error, message, tiny_models, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(error, match=message):
        run("finetune", config_of(tiny_models("idefics3"), tmp_path, **changes))
    assert not (tmp_path / "run").exists()


def test_a_full_disk_names_the_flag_that_goes_on(tiny_models, tmp_path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("instruct_mner.training.finetune._train", full)
    with pytest.raises(DataError, match=r"run cannot be written: No space left on device; .* with --resume$"):
        run("finetune", config_of(tiny_models("idefics3"), tmp_path))


def test_one_command_from_a_table_to_an_adapter(tiny_models, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    posts = [json.loads(line) for line in make_posts(tmp_path / "posts").read_text().split("\n") if line]
    with (tmp_path / "posts.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "image", "entities"])
        for post in posts:
            entities = [{"text": each["text"], "label": each["label"]} for each in post["entities"]]
            picture = Path(post["images"][0]).name if post["images"] else ""
            rows.writerow([post["text"].replace("\u2028", " "), picture, json.dumps(entities)])
    pictures = next(path.parent for path in (tmp_path / "posts").rglob("*.png"))
    run("finetune", "--data", "posts.csv", "--images", pictures, "--model", tiny_models("smolvlm"), "--split", 0.3,
        "--set", "optimizer.max_steps=2", "--set", "optimizer.batch_size=2")  # fmt: skip
    assert (tmp_path / "posts-mner" / "run" / "adapter" / "mner.json").is_file()
    before = sorted(tmp_path.rglob("*"))
    own = tmp_path / "one öut"
    own.mkdir()
    (own / "config.yaml").touch()
    quoted = CliRunner().invoke(app, ["finetune", "--data", "posts.csv", "-o", "one öut"])
    assert str(quoted.exception).endswith("train with it: instruct-mner finetune 'one öut/config.yaml'")
    shutil.rmtree(own)
    again = CliRunner().invoke(app, ["finetune", "--data", "posts.csv", "--images", str(pictures)])
    assert "posts-mner holds a config for these data already" in str(again.exception)
    dry = run("finetune", "--data", "posts.csv", "--images", pictures, "--model", tiny_models("smolvlm"), "--dry-run",
              "--split", 0.3, "--set", "optimizer.batch_size=2", "-o", "dry")  # fmt: skip
    assert "carry the loss" in dry
    assert sorted(tmp_path.rglob("*")) == before
    assert {path.name for path in (tmp_path / "posts-mner").iterdir()} == {
        "config.yaml", "train.jsonl", "dev.jsonl", "run",
    }  # fmt: skip
