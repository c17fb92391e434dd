from __future__ import annotations

import json

import pytest

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.errors import ModelError
from instruct_mner.models.manifest import Calibration, DatasetStamp, Manifest, PromptStamp
from instruct_mner.prompting.templates import find_prompt
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.pixel_limits import PixelLimits

PROMPT = find_prompt("tag-grounded")
MANIFEST = Manifest(
    base_model="some/model",
    base_revision="abc",
    family="qwen3_vl",
    tuning="lora",
    prompt=PromptStamp(name=PROMPT.name, sha256=PROMPT.sha256),
    answer=AnswerSpec(labels=LabelSet.of({"PER": "people", "LOC": None}), grounded=True, prefix=" "),
    pixels=PixelLimits(max_pixels=1000),
    versions={"torch": "2"},
    seed=3,
    datasets=(DatasetStamp(role="train", name="a/train", format="conll", sha256="0" * 64, num_posts=4),),
)


def test_it_comes_back_as_it_was(tmp_path) -> None:
    MANIFEST.save(tmp_path, PROMPT)
    assert Manifest.load(tmp_path) == (MANIFEST, PROMPT)


def test_the_base_has_its_commit_under_its_own_name_alone() -> None:
    assert MANIFEST.base_at() == MANIFEST.base_at("some/model") == ("some/model", "abc")
    assert MANIFEST.base_at("/a/folder") == ("/a/folder", None)


def test_one_of_before_calibration_is_read(tmp_path) -> None:
    MANIFEST.save(tmp_path, PROMPT)
    values = json.loads((tmp_path / "mner.json").read_text())
    assert values.pop("calibration") is None
    (tmp_path / "mner.json").write_text(json.dumps(values))
    assert Manifest.load(tmp_path) == (MANIFEST, PROMPT)
    calibration = Calibration(temperature=1.5, dataset="a/dev", sha256="1" * 64, num_entities=9)
    calibrated = MANIFEST.model_copy(update={"calibration": calibration})
    calibrated.save(tmp_path, PROMPT)
    assert Manifest.load(tmp_path) == (calibrated, PROMPT)


def test_a_changed_template_is_an_error(tmp_path) -> None:
    MANIFEST.save(tmp_path, PROMPT)
    (tmp_path / "prompt.jinja").write_text("something else")
    with pytest.raises(ModelError, match="changed after training"):
        Manifest.load(tmp_path)


def test_a_folder_without_it_is_an_error(tmp_path) -> None:
    with pytest.raises(ModelError, match=r"no mner\.json"):
        Manifest.load(tmp_path)


def test_every_wrong_field_is_named(tmp_path) -> None:
    MANIFEST.save(tmp_path, PROMPT)
    path = tmp_path / "mner.json"
    values = json.loads(path.read_text())
    values["tuning"] = "magic"
    values["answer"]["box_range"] = 0
    path.write_text(json.dumps(values))
    with pytest.raises(ModelError, match=r"(?s)tuning.*answer\.box_range|answer\.box_range.*tuning"):
        Manifest.load(tmp_path)


def test_a_manifest_from_before_the_leak_guard_still_loads(tmp_path) -> None:
    MANIFEST.save(tmp_path, PROMPT)
    path = tmp_path / "mner.json"
    values = json.loads(path.read_text())
    del values["leaked"]
    for stamp in values["datasets"]:
        for name in ("known", "file_sha256", "num_dropped"):
            del stamp[name]
    path.write_text(json.dumps(values))
    assert Manifest.load(tmp_path) == (MANIFEST, PROMPT)
