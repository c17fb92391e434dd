"""Structure of the package: rooms, sizes of files, imports inside functions, and a test for every module."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "instruct_mner"
ROOT_MODULES = {"__init__", "__main__", "console", "errors", "files", "images"}

# Modules that no test imports; a line goes when a test of its module comes.
UNTESTED = {
    "instruct_mner.__main__",
}


def modules() -> dict[str, Path]:
    """All modules by name, without the `__init__` of rooms, which hold a sentence only."""
    named = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        if parts[-1] != "__init__":
            named[".".join(parts)] = path
    return named


def imported_names(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports_inside_functions(path: Path) -> set[int]:
    """Lines of the imports inside functions."""
    return {
        node.lineno
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }


def num_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def test_the_root_holds_four_modules() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} == ROOT_MODULES


def test_every_module_is_imported_by_a_test() -> None:
    imported = {name for path in TESTS.rglob("*.py") for name in imported_names(path)}
    untested = {name for name in modules() if name not in imported}
    assert untested == UNTESTED, "write a test that imports the new module, or take the line out of UNTESTED"


def test_files_of_tests_have_names_of_their_own() -> None:
    """Two of one name are one module for pytest, which then runs neither of the second's tests."""
    named = Counter(path.name for path in TESTS.rglob("test_*.py"))
    assert [name for name, number in named.items() if number > 1] == []


def test_files_are_short() -> None:
    sizes = {path.relative_to(PACKAGE).as_posix(): num_lines(path) for path in PACKAGE.rglob("*.py")}
    assert median(sizes.values()) <= 120
    assert {name: lines for name, lines in sizes.items() if lines > 300} == {}


def test_imports_inside_functions_are_few() -> None:
    """Each is by a rule of `per-file-ignores` in `pyproject.toml`; together they are at most 3 in 1,000 lines."""
    paths = list(PACKAGE.rglob("*.py"))
    inside = sum(len(imports_inside_functions(path)) for path in paths)
    assert 1000 * inside / sum(map(num_lines, paths)) <= 3
