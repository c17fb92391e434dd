"""The table of the runs on SmolLM2, from files as a run leaves them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from eval.experiments.smollm2 import SETTINGS, config_of, planned, untrained
from eval.experiments.smollm2_table import PlannedRun, table
from instruct_mner.data.loading import load_split
from instruct_mner.schema.records import PredictedEntity, Prediction
from instruct_mner.scoring.report import Gold, evaluate
from instruct_mner.training.config import FinetuneConfig

COLUMNS = "IMGID:{0}\n{1}\tB-PER\nin\tO\n{2}\tB-LOC\n\n"
SPLITS = {
    "train": [("Ann", "Rome"), ("Bo", "Oslo")],
    "valid": [("Ann", "Oslo")],
    "test": [("Ann", "Rome"), ("Cy", "Bern")],
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "twitter2017"
    folder.mkdir(parents=True)
    for name, posts in SPLITS.items():
        text = "".join(COLUMNS.format(f"{name}{number}", *post) for number, post in enumerate(posts))
        (folder / f"{name}.txt").write_text(text)
    return folder.parent


def test_what_was_run_has_a_row_and_what_was_not_is_named(data: Path, tmp_path: Path) -> None:
    settings = yaml.safe_load(SETTINGS.read_text())
    output, runs = tmp_path / "out", [PlannedRun("twitter2017", "twice", seed) for seed in range(3)]
    (output / "twitter2017").mkdir(parents=True)
    gold = load_split(f"conll:{data / 'twitter2017' / 'test.txt'}", missing_image="text").examples
    for seed, share in ((0, 1), (1, 2)):
        predictions = [
            Prediction(
                id=post.id,
                text=post.text,
                entities=tuple(PredictedEntity(**e.model_dump(), score=0.9) for e in post.gold[:share]),
            )
            for post in gold
        ]
        stem = output / "twitter2017" / f"twice-{seed}.test"
        lines = [prediction.model_dump_json() + "\n" for prediction in predictions]
        Path(f"{stem}.jsonl").write_text("".join(lines))
        report = evaluate(Gold("test", "0" * 64, "tolerant", 2), gold, ("x", predictions), num_resamples=20).to_dict()
        Path(f"{stem}.json").write_text(json.dumps({**report, "times": {"tag_test_seconds": 2.0}}))
    text = table(settings, runs, output, data)
    [row] = [line for line in text.splitlines() if line.startswith("| twice |")]
    assert "| 2 | 83.33 ± 23.57 |" in row  # F1 of 66.67 and 100
    assert "| 2.00, 1.50 | 75.0 | 75.0 | 1.0 |" in row
    assert "UMT, with pictures" in text
    alone = table(settings, runs[:1], output, data)
    assert "| twice | 1 | 66.67 (" in alone
    assert alone.endswith("Nothing: all that was planned was run.\n")
    assert text.endswith("## Not run\n\ntwitter2017 twice-2.\n")


def test_every_planned_run_is_a_config(data: Path, tmp_path: Path) -> None:
    settings = yaml.safe_load(SETTINGS.read_text())
    for run in planned(settings):
        arm = settings["arms"][run.arm]
        if arm.get("train", True) and not arm.get("captions"):
            FinetuneConfig.model_validate(config_of(settings, run.set, run.arm, run.seed, tmp_path, data))


def test_an_arm_without_training_is_asked_about_the_labels_of_train(data: Path, tmp_path: Path) -> None:
    settings = yaml.safe_load(SETTINGS.read_text())
    flags = untrained(settings, PlannedRun("twitter2017", "examples", 0), tmp_path, data)
    assert flags[:4] == ["--model", "smollm2", "--labels", "LOC,PER"]
    assert flags[4:] == [
        "--examples",
        f"conll:{data / 'twitter2017' / 'train.txt'}",
        "--num-examples",
        8,
        "--choose",
        "nearest",
    ]
