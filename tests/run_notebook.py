"""Runs the cells of a notebook in order, in the working folder, and prints what its last cell shows."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def cells(path: Path) -> list[str]:
    """Return the code of a notebook, a text for each cell."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
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


def main() -> None:
    """Run the notebook that the command line names."""
    names: dict[str, Any] = {}
    shown: object = None
    for code in cells(Path(sys.argv[1])):
        shown = run_cell(code, names)
        page = getattr(shown, "_repr_html_", None)
        print(page() if page is not None else shown)


if __name__ == "__main__":
    main()
