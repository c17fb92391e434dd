"""Commands of README and guide run: each code block below ``<!-- test: run -->`` or ``<!-- test: python -->``.

They run in order, those of the README first, in one shell and one temporary folder, so that a block finds what an
earlier one wrote; a Python block is a program of its own. The first command that fails ends the test. Those of the
guide, and blocks below ``<!-- test: prove -->``, take minutes: `make prove` runs them, after those of the README.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("README.md", "docs/GUIDE.md")

_BLOCK = re.compile(
    r"^<!-- test: (?P<kind>run|python|prove) -->\n+```(?P<language>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
_MARK = re.compile(r"^\s*<!--\s*test\b", re.MULTILINE)
_LANGUAGES = {"run": "bash", "python": "python", "prove": "bash"}


def blocks(text: str) -> list[tuple[int, str, str]]:
    """Line, kind and code of the blocks to run."""
    found = []
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        assert match["language"] == _LANGUAGES[match["kind"]], f"line {line}: a block of {match['language']}"
        found.append((line, match["kind"], match["code"]))
    return found


def shell_script(folder: Path, documents: Sequence[str], kinds: Sequence[str]) -> str:
    """One script of the blocks of documents; each first prints, on standard error, the place that it has."""
    parts = ["set -euo pipefail"]
    for document in documents:
        for line, kind, code in blocks((ROOT / document).read_text(encoding="utf-8")):
            if kind not in kinds:
                continue
            parts.append(f"echo '>>> {document}, line {line}' >&2")
            if kind == "python":
                program = folder / f"{Path(document).stem}-{line}.py"
                program.write_text(code, encoding="utf-8")
                parts.append(f"python '{program}'")
            else:
                parts.append(code)
    return "\n".join(parts)


def test_blocks_are_found_and_wrong_ones_told():
    text = "a\n<!-- test: run -->\n```bash\nls\n```\n```bash\nrm x\n```\n<!-- test: python -->\n\n```python\n1\n```\n"
    assert blocks(text) == [(2, "run", "ls\n"), (9, "python", "1\n")]
    with pytest.raises(AssertionError, match="line 1"):
        blocks("<!-- test: run -->\n```python\n1\n```\n")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_mark_belongs_to_a_block(document: str):
    text = (ROOT / document).read_text(encoding="utf-8")
    found = blocks(text)
    assert found, f"{document} has no block marked <!-- test: run --> or <!-- test: python -->"
    assert len(found) == len(_MARK.findall(text)), f"{document} has a mark that no code block follows"


# Those of the README alone run from the wheel: `test_packaging.py`.
@pytest.mark.prove
@pytest.mark.timeout(900)
def test_the_blocks_run(tmp_path: Path):
    programs, work = tmp_path / "programs", tmp_path / "work"
    programs.mkdir()
    work.mkdir()
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HF_HUB_OFFLINE": "1",
    }
    finished = subprocess.run(
        ["bash", "-c", shell_script(programs, DOCUMENTS, tuple(_LANGUAGES))],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, f"{finished.stderr[-4000:]}\n{finished.stdout[-1000:]}"
