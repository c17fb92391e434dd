from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from instruct_mner.errors import ConfigError
from instruct_mner.training.inputs import FILE_NAME, check_inputs, inputs_of
from instruct_mner.training.setup import Run


def run_of(**changes: Any) -> Run:
    values = {"train": "1", "pictures": "2", "evaluation": "3", "revision": "4", "prompt": "5", **changes}
    stamps = (
        SimpleNamespace(role="train", name="a/train", sha256=values["train"]),
        SimpleNamespace(role="evaluation", name="a/test", sha256=values["evaluation"]),
    )
    sources = SimpleNamespace(stamps=stamps, train=SimpleNamespace(pictures_sha256=values["pictures"]), dev=None)
    return cast(
        "Run",
        SimpleNamespace(
            sources=sources,
            config=SimpleNamespace(model="a/model", output=Path("run"), reinforcement=SimpleNamespace(output=None)),
            loaded=SimpleNamespace(revision=values["revision"]),
            prompt=SimpleNamespace(name="tag.v1", sha256=values["prompt"]),
        ),
    )


def test_what_has_changed_is_named(tmp_path: Path) -> None:
    check_inputs(run_of(), tmp_path / "checkpoints")
    assert (tmp_path / "checkpoints" / FILE_NAME).is_file()
    check_inputs(run_of(), tmp_path / "checkpoints")
    names = {"train": "train", "pictures": "pictures of train", "evaluation": "a/test", "revision": "base a/model",
             "prompt": r"prompt tag\.v1"}  # fmt: skip
    for part, name in names.items():
        with pytest.raises(ConfigError, match=rf"have changed since .*\n  {name}$"):
            check_inputs(run_of(**{part: "9"}), tmp_path / "checkpoints")


def test_a_base_without_a_revision_is_known_by_its_weights() -> None:
    assert inputs_of(run_of(revision=None))["base a/model"] is None
