"""Whether a run keeps features of pictures, where, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from runs import aligned_run, trainer_of

from instruct_mner.errors import ConfigError
from instruct_mner.models.picture_features import tower_hash
from instruct_mner.training.setup import Run
from instruct_mner.training.vision_cache import describe_cache, keeps_features

FAST = {"share_prompt_prefix": True}


@pytest.fixture(scope="module")
def run(tiny_models, tmp_path_factory) -> Run:
    return aligned_run(tiny_models("idefics3"), tmp_path_factory.mktemp("run"), {}, optimizer=FAST)


def changed(run: Run, **changes: Any):
    values = run.config.model_dump(mode="json")
    for name, value in changes.items():
        values[name] = {**values[name], **value} if isinstance(value, dict) else value
    return type(run.config).model_validate(values)


def test_by_default_where_it_pays_and_rounding_is_allowed(run) -> None:
    assert keeps_features(run.config, run.loaded)
    assert not keeps_features(changed(run, optimizer={"share_prompt_prefix": False}), run.loaded)
    assert not keeps_features(changed(run, optimizer={"epochs": 1}), run.loaded)
    assert keeps_features(changed(run, optimizer={"epochs": 1}, vision_cache={"folder": "shared"}), run.loaded)
    assert not keeps_features(changed(run, vision_cache={"enabled": False}), run.loaded)
    assert not keeps_features(changed(run, tuning="full"), run.loaded)
    assert not keeps_features(changed(run, max_images=0), run.loaded)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tuning": "full"}, "tuning: full"),
        ({"max_images": 0}, "no pictures"),
        ({"optimizer": {"share_prompt_prefix": None, "torch_compile": True}}, "torch_compile"),
    ],
)
def test_what_cannot_be_is_refused(changes, reason, run) -> None:
    with pytest.raises(ConfigError, match=reason):
        keeps_features(changed(run, vision_cache={"enabled": True}, **changes), run.loaded)


def test_a_tower_in_parts_is_refused(run, monkeypatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    assert not keeps_features(run.config, run.loaded)
    with pytest.raises(ConfigError, match="several processes"):
        keeps_features(changed(run, vision_cache={"enabled": True}), run.loaded)


def test_size_is_said(run) -> None:
    line = describe_cache(run.config, run.loaded, run.pictures())
    assert line.startswith("of ")
    assert "are computed once, about 0.0" in line
    assert "limit" not in line
    tight = changed(run, vision_cache={"gib": 1e-9})
    assert "the rest is computed each time" in describe_cache(tight, run.loaded, run.pictures())
    off = changed(run, vision_cache={"enabled": False})
    assert describe_cache(off, run.loaded, run.pictures()).startswith("computed each time: ")


def test_features_lie_in_the_folder_of_the_checkpoints(run) -> None:
    trainer = trainer_of(run)
    trainer.args.save_strategy = "no"
    trainer.train()
    folder = run.config.output / "checkpoints" / "vision" / tower_hash(run.loaded)
    assert len(list(folder.glob("*.features"))) == 1


def test_another_tower_has_another_hash(run) -> None:
    before = tower_hash(run.loaded)
    weight = next(iter(run.loaded.base.get_submodule(run.loaded.family.vision_paths[0]).parameters()))
    kept = weight.detach().clone()
    with torch.no_grad():
        weight.flatten()[0] += 1
        assert tower_hash(run.loaded) != before
        weight.copy_(kept)
    assert tower_hash(run.loaded) == before
