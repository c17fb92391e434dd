"""Results name the commands that make them: every one exists, and `eval` and `tests` do not read each other's files."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("eval/**/*.md"), *ROOT.glob("eval/experiments/*.yaml"),
    *ROOT.glob("instruct_mner/starter/model/*.md"), ROOT / "Makefile",
]  # fmt: skip
COMMAND = re.compile(r"python\s+-m\s+(eval(?:\.\w+)+)")
SCRIPT = re.compile(r"python\s+eval/\S+")


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=lambda page: page.name)
def test_every_command_on_a_page_is_a_module(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not SCRIPT.findall(text)
    for name in COMMAND.findall(text):
        spec = find_spec(name)
        assert spec is not None, name
        assert spec.origin is not None
        assert "__main__" in Path(spec.origin).read_text(encoding="utf-8"), name


def test_every_result_is_named_beside_its_command() -> None:
    rows = [line for line in (ROOT / "eval" / "README.md").read_text(encoding="utf-8").splitlines() if "|" in line]
    for path in (ROOT / "eval" / "results").iterdir():
        assert [row for row in rows if f"`{path.name}" in row], path.name


def test_programs_of_eval_do_not_import_tests_and_tests_load_no_file_by_path() -> None:
    importing = re.compile(r"^\s*(?:from|import) tests\b|spec_from_file_location", re.MULTILINE)
    files = [*(ROOT / "eval").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    # The bodies that it loads are no part of the project.
    files.remove(ROOT / "tests" / "serving" / "test_hostile_bodies.py")
    assert [path.name for path in files if importing.search(path.read_text(encoding="utf-8"))] == [Path(__file__).name]
