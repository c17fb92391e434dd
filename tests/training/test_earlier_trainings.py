"""Runs that begin with weights that were trained before: what those have seen stays known."""

from __future__ import annotations

from pathlib import Path

import pytest
from runs import QUIET, config_of
from test_model_card import DEV, TRAIN, card, manifest

from instruct_mner.data.jsonl import write_jsonl
from instruct_mner.data.loading import load_split
from instruct_mner.errors import DataError
from instruct_mner.models.manifest import DatasetStamp, Manifest
from instruct_mner.models.merging import merge_adapter
from instruct_mner.schema.records import Entity, Example
from instruct_mner.scoring.origin import read_origin
from instruct_mner.tagging.calibrate import CalibrationPosts, calibrate
from instruct_mner.tagging.settings import TaggingSettings
from instruct_mner.training.config import FinetuneConfig, load_config
from instruct_mner.training.earlier_trainings import continued, describe_earlier
from instruct_mner.training.finetune import finetune
from instruct_mner.training.setup import prepare


def stamp(role: str, sha256: str) -> DatasetStamp:
    return TRAIN.model_copy(update={"role": role, "name": f"b/{role}", "sha256": sha256 * 64})


OTHER = stamp("train", "7")
TEST = stamp("evaluation", "8")


def test_data_of_a_merged_model_are_known_to_what_is_tuned_on_it(tiny_models, tmp_path: Path) -> None:
    first = finetune(load_config(config_of(tiny_models("idefics3"), tmp_path, optimizer={"max_steps": 1})), QUIET)
    merged = merge_adapter(first, tmp_path / "merged")
    seen = load_split(str(tmp_path / "posts" / "posts.jsonl"))
    other = tmp_path / "posts" / "other.jsonl"
    mention = Entity(start=0, end=4, text="Acme", label="ORG")
    write_jsonl(other, [Example(id="new", text="Acme shuts in Lagos", entities=(mention,))])
    values = {"model": str(merged), "optimizer": {"max_steps": 1}, "output": str(tmp_path / "second")}
    data = {"train": str(other), "missing_image": "text"}
    second = finetune(FinetuneConfig.model_validate({**values, "data": data}), QUIET)

    origin = read_origin(second, seen)
    assert origin.leaked == (f"{seen.name}: the gold itself was trained on",)
    assert {each.sha256 for each in origin.datasets} == {seen.sha256, load_split(str(other)).sha256}
    assert f"| train, earlier | {seen.name} |" in (second / "README.md").read_text()
    with pytest.raises(DataError, match="trained on these posts"):
        calibrate(TaggingSettings(adapter=second), CalibrationPosts(data=str(seen.path)))
    with pytest.raises(DataError, match=r"(?s)has seen sets of data.evaluate_on:.*trained on it, or chosen by it"):
        prepare(FinetuneConfig.model_validate({**values, "data": {**data, "evaluate_on": [str(seen.path)]}}))

    # An adapter that is merged into another base than its own has seen what that base has.
    again = merge_adapter(first, tmp_path / "again", base_model=str(tmp_path / "merged"))
    assert Manifest.load(again)[0].trainings == Manifest.load(merged)[0].trainings


def test_trainings_are_told_apart_and_told_once() -> None:
    before = manifest(datasets=(OTHER, TEST), leaked=("a leak",))
    own = continued(manifest(datasets=(TRAIN, DEV)), before, "refuse")
    assert own.trainings == ((TRAIN, DEV), (OTHER, TEST))
    assert own.leaked == ("a leak",)
    # Reinforcement goes on with the data of the adapter's own run, and the adapter's base is that of the run.
    again = continued(continued(manifest(datasets=(TRAIN, DEV)), before, "refuse"), own, "refuse")
    assert again == own
    assert continued(own, None, "refuse") == own
    text = card(datasets=own.datasets, earlier=own.earlier)
    assert "| train | a/train |" in text
    assert "| train, earlier | b/train |" in text


def test_sets_to_evaluate_on_that_the_model_has_seen_are_a_leak() -> None:
    before = manifest(datasets=(OTHER, stamp("dev", "9")))
    for sha256 in "79":
        own = manifest(datasets=(TRAIN, stamp("evaluation", sha256)))
        for policy in ("refuse", "drop"):
            with pytest.raises(DataError, match="b/evaluation: the model was trained on it"):
                continued(own, before, policy)
        [line] = continued(own, before, "allow").leaked
        assert list(describe_earlier(continued(own, before, "allow"), ()))[-1] == f"LEAKED    {line}"


def test_training_on_a_set_that_the_model_was_to_be_evaluated_on_is_told() -> None:
    before = manifest(datasets=(OTHER, TEST))
    own = continued(manifest(datasets=(stamp("train", "8"),)), before, "refuse")
    assert list(describe_earlier(own, ())) == [
        "earlier   the model was trained on b/train (40 posts) before",
        "note      b/evaluation was a set to evaluate that model on, and is trained on now",
    ]
