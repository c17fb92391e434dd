"""Notebooks of the documentation: their cells run, in order, in an empty folder."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "notebooks"
NAMES = ("tag.ipynb", "train.ipynb")


def cells(name: str) -> list[str]:
    """Return the code of a notebook, a text for each cell."""
    notebook = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def run_cell(code: str, names: dict[str, Any]) -> object:
    """Run a cell as Jupyter does, and return the value of its last line: lines behind ``!`` are commands."""
    python = []
    for line in code.splitlines():
        if line.startswith("!"):
            subprocess.run(["bash", "-c", line[1:]], check=True, capture_output=True)
        else:
            python.append(line)
    body = ast.parse("\n".join(python)).body
    last = body[-1] if body else None
    if not isinstance(last, ast.Expr):
        last = None
    exec(compile(ast.Module(body if last is None else body[:-1], []), "cell", "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), names)


def test_a_cell_is_run_as_in_a_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    assert run_cell("!echo 3 > a.txt\nx = 2", names) is None
    assert run_cell("from pathlib import Path\nint(Path('a.txt').read_text()) + x", names) == 5
    with pytest.raises(subprocess.CalledProcessError):
        run_cell("!false", names)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_holds_no_outputs(name: str) -> None:
    notebook = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(code) >= 4
    assert not [cell for cell in code if cell["outputs"] or cell["execution_count"]]
    assert sorted(path.name for path in FOLDER.glob("*.ipynb")) == sorted(NAMES)


@pytest.mark.prove
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    names: dict[str, Any] = {}
    last: Any = None
    for code in cells(name):
        last = run_cell(code, names)
    if name == "train.ipynb":
        assert len(last) == 2
        assert (tmp_path / "own" / "run").is_dir()
    else:
        assert len(names["with_pictures"]) == 12
        assert "<mark" in names["with_pictures"]._repr_html_()
