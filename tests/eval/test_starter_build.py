"""The build: finished stages are not repeated, missed gates stop it, and what comes out can be tagged with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from eval.starter_training import build as building
from eval.starter_training import curriculum, evaluate
from eval.starter_training.build import build
from eval.starter_training.stages import ONWARD, STAGES, Stage
from instruct_mner.errors import ModelError
from instruct_mner.models.locations import STARTER_FOLDER, locate
from instruct_mner.tagging.tagger import Tagger

_STAGES = (
    Stage("seeing", 2, 1e-3),
    Stage("looking", 3, 1e-3, dict.fromkeys(("questions", "linked", "describe", "repeat", "define"), 1.0)),
    Stage("naming", 3, 1e-3, dict.fromkeys(("tag", "text", "grounded", "retag", "retext", "relinked"), 1.0), {}, True),
)


@pytest.fixture
def few_posts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "NUM_POSTS", 60)
    monkeypatch.setattr(evaluate, "NUM_DEV", 40)
    monkeypatch.setattr(building, "_LOG_EVERY", 1)
    monkeypatch.setattr(curriculum, "AT_ONCE", 1)
    monkeypatch.setattr(evaluate, "BATCH", 4)
    monkeypatch.setattr(curriculum, "BATCH", 4)


@pytest.mark.slow
@pytest.mark.usefixtures("few_posts")
def test_a_build_goes_on_where_it_stopped(tmp_path: Path) -> None:
    build(tmp_path, stages=_STAGES[:2])
    seen = (tmp_path / "seeing" / "model.safetensors").read_bytes()
    last = build(tmp_path, stages=_STAGES)
    assert last == tmp_path / "naming"
    assert (tmp_path / "seeing" / "model.safetensors").read_bytes() == seen
    stages = [json.loads(line)["stage"] for line in (tmp_path / "curves.jsonl").read_text().splitlines()]
    assert stages == ["seeing"] * 2 + ["looking"] * 3 + ["naming"] * 3
    impossible = Stage("more", 1, 1e-3, {"repeat": 1.0}, gates={"tokens repeat": 1.01})
    with pytest.raises(ModelError, match=r"stage more did not reach: tokens repeat .* < 1.01"):
        build(tmp_path, stages=(*_STAGES, impossible))
    assert build(tmp_path, stages=(*_STAGES, impossible), attention=0.0) == tmp_path / "more"
    tagger = Tagger.from_pretrained(last)
    assert tagger.labels is not None
    assert tagger.labels.names == ("PER", "LOC", "ORG", "MISC")
    assert isinstance(tagger.predict_entities("Jordan dunks in Chicago"), list)


@pytest.mark.slow
@pytest.mark.usefixtures("few_posts")
def test_a_share_of_a_build_in_float32_is_shorter_and_kept_in_bfloat16(tmp_path: Path) -> None:
    last = build(tmp_path, stages=_STAGES[1:2], attention=0.0, share=2 / 3, dtype="float32")
    stages = [json.loads(line)["stage"] for line in (tmp_path / "curves.jsonl").read_text().splitlines()]
    assert stages == ["looking"] * 2
    tensors = load_file(last / "model.safetensors")
    assert {str(tensor.dtype) for tensor in tensors.values()} == {"torch.bfloat16"}


@pytest.mark.slow
@pytest.mark.usefixtures("few_posts")
def test_a_build_copies_the_vision_tower_of_another(tmp_path: Path) -> None:
    last = build(tmp_path, stages=_STAGES[:1], vision="starter")
    assert not (tmp_path / "curves.jsonl").exists()
    taken, starters = (load_file(folder / "model.safetensors") for folder in (last, STARTER_FOLDER))
    same = {name for name in taken if name in starters and taken[name].equal(starters[name])}
    vision = {name for name in taken if name.startswith(("model.vision_model.", "model.connector."))}
    assert len(vision) > 10
    assert vision <= same
    assert not any(name.startswith("model.text_model.layers") and name.endswith("proj.weight") for name in same)


def test_every_kind_of_sample_and_gate_of_the_real_build_exists() -> None:
    known = {
        "tag",
        "text",
        "linked",
        "retag",
        "retext",
        "relinked",
        "questions",
        "describe",
        "repeat",
        "define",
        "grounded",
    }
    assert {name for stages in (*STAGES.values(), ONWARD) for stage in stages for name in stage.sample_weights} <= known
    assert {stage.weights_from for stage in ONWARD} <= {stage.name for stage in STAGES[0]} | {None}
    assert STAGES[0][0].name == "seeing"
    assert not STAGES[0][0].sample_weights


def test_the_package_carries_the_starter() -> None:
    assert locate("starter") == str(STARTER_FOLDER)
    assert locate("./starter") == "./starter"
    assert (STARTER_FOLDER / "model.safetensors").stat().st_size < 20e6
    tagger = Tagger.from_pretrained("starter")
    entities = tagger.predict_entities("happy birthday Coach Brunda Kelson , shares of Vockbrom Inc fell")
    assert {(entity["text"], entity["label"]) for entity in entities} == {
        ("Coach Brunda Kelson", "PER"),
        ("Vockbrom Inc", "ORG"),
    }
