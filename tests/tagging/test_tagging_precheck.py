from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from instruct_mner.errors import ConfigError
from instruct_mner.models.locations import STARTER_FOLDER
from instruct_mner.models.manifest import Manifest
from instruct_mner.schema.labels import LabelSet
from instruct_mner.tagging.precheck import check_labels_are_known, takes_pictures, weights_of
from instruct_mner.tagging.settings import TaggingSettings


def test_labels_are_needed_where_none_were_tuned(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    for model in (str(tmp_path), "smollm2"):
        with pytest.raises(ConfigError, match="give labels"):
            check_labels_are_known(TaggingSettings(model=model), None)
        check_labels_are_known(TaggingSettings(model=model), LabelSet.of(["PER"]))
    check_labels_are_known(TaggingSettings(model="starter"), None)


def test_models_that_take_pictures(tmp_path: Path) -> None:
    assert takes_pictures(TaggingSettings(model="starter")) is True
    assert takes_pictures(TaggingSettings(model="smollm2")) is False
    assert takes_pictures(TaggingSettings(model=str(tmp_path))) is None


def test_weights_are_known_by_their_content(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(STARTER_FOLDER, folder)
    manifest = Manifest.load(folder)[0].model_copy(update={"base_model": str(folder)})
    settings = TaggingSettings(model=str(folder))
    before = weights_of(settings, manifest)
    assert weights_of(settings, manifest) == before
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert weights_of(settings, manifest)[0] != before[0]
