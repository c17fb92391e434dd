from __future__ import annotations

import json
from pathlib import Path

import pytest

from instruct_mner.models.config_file import takes_pictures


@pytest.mark.parametrize(
    ("content", "takes"),
    [
        ({"model_type": "qwen3"}, False),
        ({"model_type": "qwen3_vl", "vision_config": {}}, True),
        ([], None),
        (None, None),
    ],
)
def test_a_folder_is_known_by_its_config(content: object, takes: bool | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(json.dumps(content))
    assert takes_pictures(tmp_path) is takes


def test_names_of_the_package_and_names_that_are_nowhere(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    assert takes_pictures(tmp_path) is None
    assert takes_pictures("starter") is True
    assert takes_pictures("smollm2") is False
    assert takes_pictures("nobody/has-this-model") is None
    assert takes_pictures("a/b/c/d") is None
