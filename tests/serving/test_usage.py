"""Commands that are printed when a server is ready."""

from __future__ import annotations

import ast
import json
import os
import shlex
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from instruct_mner.serving.usage import usage


def printed(host: str = "127.0.0.1", tuning: str = "lora", key: str | None = None) -> tuple[str, list[str], str]:
    """The address, the words of the ``curl`` line, and the Python snippet."""
    plan: Any = SimpleNamespace(models=[SimpleNamespace(manifest=SimpleNamespace(tuning=tuning))])
    ready, curl, python = usage(cast("Any", plan), host, 8000, key).strip().split("\n\n")
    return ready.split(" ")[2], shlex.split(curl), python


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://127.0.0.1:8000"),
        ("::1", "http://[::1]:8000"),
        ("box.lan", "http://box.lan:8000"),
    ],
)
def test_the_address_can_be_asked(host: str, address: str) -> None:
    ready, curl, python = printed(host)
    assert (ready, curl[2]) == (address, f"{address}/v1/entities")
    assert f'"{address}/v1/entities"' in python


@pytest.mark.parametrize(("tuning", "fields"), [("lora", ["text"]), ("none", ["text", "labels"])])
def test_a_base_that_was_not_tuned_is_told_labels(tuning: str, fields: list[str]) -> None:
    _, curl, python = printed(tuning=tuning)
    assert list(json.loads(curl[-1])) == fields
    ast.parse(python)
    assert json.dumps(json.loads(curl[-1])) in python


def test_a_key_is_read_from_the_environment_and_never_printed() -> None:
    _, curl, python = printed(key="MY_KEY")
    assert "Authorization: Bearer $MY_KEY" in curl
    assert 'os.environ["MY_KEY"]' in python
    ast.parse(python)
    assert "Bearer" not in " ".join(printed()[1])


def test_a_key_of_a_file_is_taken_without_showing_it(tmp_path: Path) -> None:
    """The commands run as they are copied, also in a shell that does not have the variable."""
    keys = tmp_path / "my keys.txt"
    keys.write_text("# of the teams\n\nnews open-sesame rate=5 # theirs\nothers key2\n")
    plan: Any = SimpleNamespace(models=[SimpleNamespace(manifest=SimpleNamespace(tuning="lora"))])
    text = usage(plan, "127.0.0.1", 8000, "MY_KEY", keys)
    assert "open-sesame" not in text
    _, export, curl, python = text.strip().split("\n\n")
    shell = ["/bin/sh", "-c", f'{export}\necho "$MY_KEY"']
    assert subprocess.check_output(shell, text=True, env={"PATH": os.defpath}) == "open-sesame\n"
    assert "Bearer $MY_KEY" in curl
    ast.parse(python)
