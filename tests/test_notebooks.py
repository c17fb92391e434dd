"""Notebooks of the documentation; `test_packaging.py` runs them from the wheel."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from run_notebook import run_cell

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "notebooks"
NAMES = ("tag.ipynb", "train.ipynb")


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
