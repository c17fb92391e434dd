"""The table of the runs on SmolLM2, from files as a run leaves them."""

from __future__ import annotations

import json
import lzma
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from eval.experiments.smollm2 import SETTINGS, config_of, planned, untrained
from eval.experiments.smollm2_archive import pack_runs, unpack_runs
from eval.experiments.smollm2_table import PlannedRun, table
from instruct_mner.data.loading import load_split
from instruct_mner.schema.records import Example, PredictedEntity, Prediction
from instruct_mner.scoring.report import Gold, evaluate
from instruct_mner.training.config import FinetuneConfig

INLINE = SETTINGS.with_name("smollm2-inline.yaml")
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


def write_run(stem: Path, gold: Sequence[Example], share: int) -> None:
    """Write the predictions of a run, the first entities of each post, and their report."""
    predictions = [
        Prediction(
            id=post.id,
            text=post.text,
            entities=tuple(PredictedEntity(**e.model_dump(), score=0.9) for e in post.gold[:share]),
        )
        for post in gold
    ]
    Path(f"{stem}.jsonl").write_text("".join(each.model_dump_json() + "\n" for each in predictions))
    report = evaluate(Gold("test", "0" * 64, "tolerant", 2), gold, ("x", predictions), num_resamples=20).to_dict()
    Path(f"{stem}.json").write_text(json.dumps({**report, "times": {"tag_test_seconds": 2.0}}))


def test_what_was_run_has_a_row_and_what_was_not_is_named(data: Path, tmp_path: Path) -> None:
    settings = yaml.safe_load(SETTINGS.read_text())
    output, runs = tmp_path / "out", [PlannedRun("twitter2017", "twice", seed) for seed in range(3)]
    (output / "twitter2017").mkdir(parents=True)
    gold = load_split(f"conll:{data / 'twitter2017' / 'test.txt'}", missing_image="text").examples
    for seed, share in ((0, 1), (1, 2)):
        write_run(output / "twitter2017" / f"twice-{seed}.test", gold, share)
    text = table(settings, runs, output, data)
    # Packed and unpacked elsewhere, without a word of the posts on the way.
    archive = tmp_path / "runs.jsonl.xz"
    assert pack_runs(runs, output, archive) == 2
    assert not any(name in lzma.decompress(archive.read_bytes()) for name in (b"Rome", b"Bern"))
    assert unpack_runs(archive, tmp_path / "again", data) == 2
    assert table(settings, runs, tmp_path / "again", data) == text
    assert pack_runs([], output, archive) == 2
    [row] = [line for line in text.splitlines() if line.startswith("| twice |")]
    assert "| 2 |  | 83.33 ± 23.57 |" in row  # F1 of 66.67 and 100
    assert "| 2.00, 1.50 | 75.0 | 75.0 | 1.0 |" in row
    assert "UMT, with pictures" in text
    alone = table(settings, runs[:1], output, data)
    assert "| twice | 1 |  | 66.67 (" in alone
    assert alone.endswith("Nothing: all that was planned was run.\n")
    assert text.endswith("## Not run\n\ntwitter2017 twice-2.\n")


def test_arms_with_captions_are_compared_with_and_without_them(data: Path, tmp_path: Path) -> None:
    settings = yaml.safe_load(INLINE.read_text())
    gold = load_split(f"conll:{data / 'twitter2017' / 'test.txt'}", missing_image="text").examples
    runs = [PlannedRun("twitter2017", arm, 0) for arm in ("caption", "shuffled_caption", "text")]
    folder = tmp_path / "out" / "twitter2017"
    folder.mkdir(parents=True)
    shares = {"text-0.test": 1, "caption-0.test": 2, "caption-0.bare": 0, "shuffled_caption-0.test": 1}
    for name, share in {**shares, "shuffled_caption-0.bare": 0}.items():
        write_run(folder / name, gold, share)
    lines = table(settings, runs, tmp_path / "out", data).splitlines()
    own = lines[lines.index("| arm | control | difference | p |") + 2 :][:2]
    assert own[0].startswith("| caption | shuffled_caption | +33.33 (")
    assert own[1] == "| caption without captions | shuffled_caption without captions | +0.00 (+0.0 to +0.0) | 1.000 |"
    found = lines[lines.index("| arm | seeds | micro F1 | difference | p |") + 2 :][:2]
    assert [line[: line.index("(") - 1] for line in found] == [
        "| caption | 1 | 100.00 | +33.33",
        "| caption without captions | 1 | 0.00 | -66.67",
    ]


@pytest.mark.parametrize("file", [SETTINGS, INLINE])
def test_every_planned_run_is_a_config(file: Path, data: Path, tmp_path: Path) -> None:
    settings = yaml.safe_load(file.read_text())
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
