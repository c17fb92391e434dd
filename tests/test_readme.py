"""The README's commands run: each code block below ``<!-- test: run -->`` or ``<!-- test: python -->``.

They run in order, in one shell and one temporary folder, so that a block finds what an earlier one wrote; a Python
block is a program of its own. ``$MODEL`` is a tiny model. The first command that fails ends it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[1] / "README.md"

_BLOCK = re.compile(
    r"^<!-- test: (?P<kind>run|python) -->\n+```(?P<language>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
_MARK = re.compile(r"^\s*<!--\s*test\b", re.MULTILINE)
_LANGUAGES = {"run": "bash", "python": "python"}


def blocks(text: str) -> list[tuple[int, str, str]]:
    """Line, kind and code of the blocks to run."""
    found = []
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        assert match["language"] == _LANGUAGES[match["kind"]], f"line {line}: a block of {match['language']}"
        found.append((line, match["kind"], match["code"]))
    return found


def shell_script(found: Sequence[tuple[int, str, str]], folder: Path) -> str:
    """One script of all blocks; each first says, on standard error, from which line it is."""
    parts = ["set -euo pipefail"]
    for line, kind, code in found:
        parts.append(f"echo '>>> the block at line {line}' >&2")
        if kind == "python":
            program = folder / f"block{line}.py"
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


def test_every_mark_belongs_to_a_block():
    text = README.read_text(encoding="utf-8")
    found = blocks(text)
    assert found, "README.md has no block marked <!-- test: run --> or <!-- test: python -->"
    assert len(found) == len(_MARK.findall(text)), "README.md has a mark that no code block follows"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_blocks_run(tmp_path: Path, tiny_models: Callable[[str], Path]):
    found = blocks(README.read_text(encoding="utf-8"))
    assert found, "README.md has no block marked <!-- test: run --> or <!-- test: python -->"
    programs, work = tmp_path / "programs", tmp_path / "work"
    programs.mkdir()
    work.mkdir()
    environment = {
        **os.environ,
        "MODEL": str(tiny_models("idefics3")),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HF_HUB_OFFLINE": "1",
    }
    finished = subprocess.run(
        ["bash", "-c", shell_script(found, programs)],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, f"{finished.stderr[-4000:]}\n{finished.stdout[-1000:]}"
