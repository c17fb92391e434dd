"""``reinforce``: mistakes are errors before any library of models is loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

import instruct_mner.cli.reinforce  # noqa: F401
from instruct_mner.testing.posts import make_posts

CODE = """
import sys
from typer.testing import CliRunner
from instruct_mner.cli import app
print(CliRunner().invoke(app, ["reinforce", "config.yaml"]).exception)
print([name for name in ("torch", "transformers", "trl") if name in sys.modules])
"""


def test_a_missing_adapter_is_an_error_before_the_libraries(tmp_path: Path) -> None:
    posts = str(make_posts(tmp_path / "posts"))
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump({"model": "starter", "data": {"train": posts}, "output": "run"})
    )
    done = subprocess.run([sys.executable, "-c", CODE], cwd=tmp_path, capture_output=True, text=True, check=False)
    message, loaded = done.stdout.splitlines()
    assert message.startswith("reinforcement.adapter: there is no adapter in run")
    assert loaded == "[]"
