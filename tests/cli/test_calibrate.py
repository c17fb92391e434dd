"""Calibration of a tiny tuned model, from the command line to the scores that tagging writes."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
from fake_server import chat, post_of, serving, token
from PIL import Image
from rich.console import Console
from runs import QUIET, config_of
from typer.testing import CliRunner

from instruct_mner.cli import app
from instruct_mner.data.jsonl import write_jsonl
from instruct_mner.data.loading import load_split
from instruct_mner.errors import ConfigError, DataError, ModelError
from instruct_mner.models.manifest import Calibration, Manifest
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Entity, Example, Prediction
from instruct_mner.scoring import score_spans
from instruct_mner.scoring.calibration import Scaling
from instruct_mner.scoring.predictions import read_predictions
from instruct_mner.tagging.run import _warn_of_calibration, _warn_of_spellings
from instruct_mner.testing.posts import TEXTS


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def tuned(tiny_models, tmp_path_factory) -> Path:
    from instruct_mner.training.config import load_config
    from instruct_mner.training.finetune import finetune

    folder = tmp_path_factory.mktemp("calibrated")
    return finetune(load_config(config_of(tiny_models("idefics3"), folder)), QUIET)


def write_dev(folder: Path, run_folder: Path) -> Path:
    """Posts whose gold is what the model is sure of, but for every fourth entity: confidences say something."""
    posts = [Example(id=f"{number}", text=f"{text} {number}", entities=()) for number in range(3) for text, _ in TEXTS]
    posts = [post.model_copy(update={"id": f"dev-{index}"}) for index, post in enumerate(posts)]
    write_jsonl(folder / "plain.jsonl", posts)
    said = run("tag", folder / "plain.jsonl", "--adapter", run_folder).split("\n")[:-1]
    predictions = [Prediction.model_validate_json(line) for line in said]
    scores = sorted(entity.score for prediction in predictions for entity in prediction.entities)
    assert len(set(scores)) > 5
    count, examples = 0, []
    for post, prediction in zip(posts, predictions, strict=True):
        gold = []
        for entity in prediction.entities:
            count += 1
            if (entity.score >= 0.5) != (count % 4 == 0):
                gold.append(Entity(start=entity.start, end=entity.end, text=entity.text, label=entity.label))
        examples.append(post.model_copy(update={"entities": tuple(gold)}))
    write_jsonl(folder / "dev.jsonl", examples)
    return folder / "dev.jsonl"


def test_from_fit_to_tagging(tuned: Path, tmp_path: Path) -> None:
    run_folder = Path(shutil.copytree(tuned, tmp_path / "run"))
    dev = write_dev(tmp_path, run_folder)
    run("tag", dev, "--adapter", run_folder, "-o", tmp_path / "before.jsonl")
    report = json.loads(run("calibrate", run_folder, dev, "--json", "--resamples", 200))
    run("tag", dev, "--adapter", run_folder, "-o", tmp_path / "after.jsonl")

    manifest, _ = Manifest.load(run_folder / "adapter")
    assert manifest.calibration is not None
    assert manifest.calibration.temperature == report["temperature"]
    assert manifest.calibration.shift == report["shift"]
    assert (run_folder / "adapter" / "reliability.png").read_bytes().startswith(b"\x89PNG")
    before, after = read_predictions(tmp_path / "before.jsonl"), read_predictions(tmp_path / "after.jsonl")
    entities = [
        pair
        for first, second in zip(before, after, strict=True)
        for pair in zip(first.entities, second.entities, strict=True)
    ]
    assert len(entities) == report["num_entities"]
    for plain, warm in entities:
        assert (plain.start, plain.end, plain.label) == (warm.start, warm.end, warm.label)
        assert warm.score == pytest.approx(
            Scaling(temperature=report["temperature"], shift=report["shift"]).apply_to(plain.score), abs=1e-6
        )
    gold = load_split(str(dev)).examples
    assert score_spans(gold, before).micro.score == score_spans(gold, after).micro.score
    assert report["after"]["brier"]["value"] != report["before"]["brier"]["value"]

    again = json.loads(run("calibrate", run_folder, dev, "--json", "--resamples", 200))
    assert again["temperature"] == pytest.approx(report["temperature"], rel=1e-6)  # never fitted on top of itself
    table = run("calibrate", run_folder, dev, "--resamples", 50, "--plot", tmp_path / "plots" / "a.png")
    assert "ECE" in table
    assert (tmp_path / "plots" / "a.png").is_file()
    run("calibrate", run_folder, dev, "--resamples", 50, "--plot", tmp_path / "plots" / "a.png")

    kept = run("tag", dev, "--adapter", run_folder, "--threshold", 0.5).split("\n")[:-1]
    scores = [entity.score for line in kept for entity in Prediction.model_validate_json(line).entities]
    assert len(scores) == sum(entity.score >= 0.5 for _, entity in entities)
    assert min(scores, default=1.0) >= 0.5


def test_a_servers_confidences_are_of_another_kind(tuned: Path, tmp_path: Path) -> None:
    """Fitted through the server, they are used for it, and whoever uses them elsewhere is told."""
    run_folder = Path(shutil.copytree(tuned, tmp_path / "run"))
    sure, unsure = (Entity(start=0, end=3, text="Ann", label=label) for label in ("PER", "LOC"))
    # Four of five are right of what is said with 0.95, three of five of what is said with 0.74.
    examples = [
        Example(
            id=f"{number}", text=f"Ann {number}", entities=(sure if number % 5 < (4 if number < 15 else 3) else unsure,)
        )
        for number in range(30)
    ]
    write_jsonl(tmp_path / "dev.jsonl", examples)
    answer = " PER: Ann"

    def reply(body, number):
        # By the post, not by the order in which requests arrive.
        post = int(post_of(body).split()[1])
        return 200, chat(answer, logprobs=[token(answer, -0.05 if post < 15 else -0.3)])

    with serving(reply) as server:
        flags = ["--endpoint", server.url, "--model", "m"]
        report = json.loads(run("calibrate", run_folder, tmp_path / "dev.jsonl", *flags, "--json", "--resamples", 50))
        [line] = run("tag", "--text", "Ann 1", "--adapter", run_folder, *flags).split("\n")[:-1]
    assert report["temperature"] == pytest.approx(1.96, abs=0.02)
    assert report["after"]["brier"]["value"] < report["before"]["brier"]["value"]
    assert json.loads(line)["entities"][0]["score"] == pytest.approx(0.8, abs=0.01)
    result = CliRunner().invoke(app, ["tag", "--text", "Ann", "--adapter", str(run_folder)])
    assert "calibrated with the engine endpoint" in result.stderr


@pytest.mark.parametrize(
    ("calibrated_with", "engine", "warns"),
    [
        ("transformers", "transformers", False),
        ("transformers", "vllm", False),
        ("vllm", "transformers", False),
        ("transformers", "endpoint", True),
        ("endpoint", "vllm", True),
        ("endpoint", "endpoint", False),
    ],
)
def test_a_calibration_holds_for_all_engines_of_this_process(
    tuned: Path, calibrated_with: str, engine: str, warns: bool
) -> None:
    manifest, _ = Manifest.load(tuned / "adapter")
    calibration = Calibration(temperature=2, engine=calibrated_with, dataset="dev", sha256="0" * 64, num_entities=9)
    console = Console(file=io.StringIO())
    _warn_of_calibration(manifest.model_copy(update={"calibration": calibration}), engine, console)
    assert ("were calibrated with" in console.file.getvalue()) == warns  # type: ignore[attr-defined]


def test_other_spellings_of_the_labels_of_a_tuning_are_told(tuned: Path) -> None:
    manifest, _ = Manifest.load(tuned / "adapter")
    first, *others = manifest.answer.labels.names
    for labels, told in (([first.lower(), *others, "DATE"], True), ([first, "DATE"], False)):
        console = Console(file=io.StringIO(), width=200)
        _warn_of_spellings(manifest, LabelSet.of(labels), console)
        output = console.file.getvalue()  # type: ignore[attr-defined]
        assert (f"other spellings of labels: {first!r}, given {first.lower()!r}\n" in output) == told


def test_a_plot_takes_the_place_of_no_other_file(tuned: Path, tmp_path: Path) -> None:
    Image.new("L", (9, 9)).save(tmp_path / "picture.png")
    (tmp_path / "dev.jsonl").write_text("{}")
    for name in ("picture.png", "dev.jsonl"):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(ConfigError, match=f"{name} exists; choose another name or remove it"):
            run("calibrate", tuned, tmp_path / "dev.jsonl", "--plot", tmp_path / name)
        assert (tmp_path / name).read_bytes() == before


def test_what_is_refused(tuned: Path, tmp_path: Path) -> None:
    trained_on = tuned.parent / "posts" / "posts.jsonl"
    with pytest.raises(DataError, match="was trained on these posts"):
        run("calibrate", tuned, trained_on)
    write_jsonl(tmp_path / "dev.jsonl", [Example(id="1", text="Ann", entities=())])
    with pytest.raises(DataError, match=f"{trained_on}: the model was trained on these posts"):
        run("calibrate", tuned, tmp_path / "dev.jsonl", "--held-out", trained_on)
    write_jsonl(tmp_path / "plain.jsonl", [Example(id="1", text="no gold")])
    with pytest.raises(DataError, match="no post is annotated"):
        run("calibrate", tuned, tmp_path / "plain.jsonl")
    other = Entity(start=0, end=3, text="Ann", label="PERSON")
    write_jsonl(tmp_path / "others.jsonl", [Example(id="1", text="Ann", entities=(other,))])
    with pytest.raises(DataError, match="types that this model cannot answer with: PERSON; it knows "):
        run("calibrate", tuned, tmp_path / "others.jsonl")
    with pytest.raises(ModelError, match="holds no adapter"):
        run("calibrate", tmp_path, tmp_path / "plain.jsonl")
    assert not (tuned / "adapter" / "reliability.png").exists()
