"""Commands of README and guide run: each code block below a mark such as ``<!-- test: run -->``.

They run in order, those of the README first, in one shell and one temporary folder, so that a block finds what an
earlier one wrote. The first command that fails ends the test. Kinds: ``run``, for a shell; ``python``, a program of its
own; ``serve``, whose server runs in the background while the block goes on; ``prove``, which takes minutes. `make
newcomer` runs those of the README from the wheel, `make prove` those of the guide after them.

Commands of blocks without a mark need what is not here (a model of the hub, a published set): their arguments are
parsed.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import typer

from instruct_mner.cli import app
from instruct_mner.vllm_runtime.process import free_port

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("README.md", "docs/GUIDE.md")

_BLOCK = re.compile(
    r"^<!-- test: (?P<kind>run|python|serve|prove) -->\n+```(?P<language>\w+)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_MARK = re.compile(r"^\s*<!--\s*test\b", re.MULTILINE)
_LANGUAGES = {"run": "bash", "python": "python", "serve": "bash", "prove": "bash"}
_UNMARKED = re.compile(r"(?<!-->\n)^```bash\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
_SERVER = re.compile(r"^instruct-mner serve [^#\n]*", re.MULTILINE)


def blocks(text: str) -> list[tuple[int, str, str]]:
    """Line, kind and code of the blocks to run."""
    found = []
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        assert match["language"] == _LANGUAGES[match["kind"]], f"line {line}: a block of {match['language']}"
        found.append((line, match["kind"], match["code"]))
    return found


def served(code: str, port: int) -> str:
    """A block with its server in the background, at a free port; what it prints at last must hold entities."""
    assert "8000" in code
    before, server, after = (each.replace("8000", str(port)) for each in _around(code))
    ready = f"until curl -sf http://127.0.0.1:{port}/readyz > ready; do kill -0 $server; sleep 0.2; done"
    start = f"{server.strip()} --vllm=--enforce-eager > serve.log & server=$!\ntrap 'kill $server' EXIT\n{ready}"
    return f"({before}\n{start}\n{after}) | tee served\ngrep -q '\"entities\":\\[{{' served"


def _around(code: str) -> tuple[str, str, str]:
    found = _SERVER.search(code)
    assert found is not None, "a block of kind serve starts no server"
    return code[: found.start()], found[0], code[found.end() :].partition("\n")[2]


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
                parts.append(served(code, free_port()) if kind == "serve" else code)
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


def commands_without_mark(document: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    lines = [line for found in _UNMARKED.finditer(text) for line in found["code"].replace("\\\n", " ").splitlines()]
    return [line for line in lines if line.startswith("instruct-mner ") and "--help" not in line]


def test_commands_that_are_not_run_have_arguments_that_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    commands = [line for document in DOCUMENTS for line in commands_without_mark(document)]
    assert {shlex.split(line)[1] for line in commands} == {"experiment", "context"}
    program = typer.main.get_command(app)
    assert isinstance(program, typer.core.TyperGroup)
    for line in commands:
        verb, *arguments = shlex.split(line)[1:]
        verb_command = program.commands[verb]
        with verb_command.make_context(verb, arguments) as context:
            assert context.params


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
