"""What is named to be served, before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from demo_adapters import adapter_at

from instruct_mner.errors import ConfigError, ModelError
from instruct_mner.models.locations import STARTER_FOLDER
from instruct_mner.vllm_runtime.named import read_named


def test_a_name_is_given_or_that_of_the_folder(tmp_path: Path) -> None:
    run = tmp_path / "a run!"
    adapter_at(run / "adapter")
    given, own, whole = read_named([f"given={run}"], None)[0], read_named([str(run)], None)[0], str(STARTER_FOLDER)
    assert (given.name, own.name) == ("given", "a-run-")
    assert given.folder == own.folder == (run / "adapter").resolve()
    assert [each.manifest.tuning for each in (own, *read_named([whole], None))] == ["lora", "full"]
    assert read_named([], "starter") == ()


def test_a_folder_with_an_equals_sign_is_no_name(tmp_path: Path) -> None:
    [named] = read_named([adapter_at(tmp_path / "rank=16")], None)
    assert (named.name, named.folder) == ("rank-16", (tmp_path / "rank=16").resolve())


def test_what_does_not_go_together(tmp_path: Path) -> None:
    first, moved = adapter_at(tmp_path / "a"), adapter_at(tmp_path / "b", base_model=str(tmp_path / "moved"))
    with pytest.raises(ConfigError, match="'a' and 'b' have different base models"):
        read_named([first, moved], None)
    assert len(read_named([first, moved], "starter")) == 2
    with pytest.raises(ModelError, match=r"moved cannot be loaded"):
        read_named([moved], None)
    with pytest.raises(ConfigError, match=r"two models are named 'a'"):
        read_named([first, first], None)
    for others in ([str(STARTER_FOLDER), first], [str(STARTER_FOLDER)]):
        with pytest.raises(ConfigError, match=r"is a whole model: it is served alone"):
            read_named(others, "starter")
