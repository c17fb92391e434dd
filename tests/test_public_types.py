"""Types at the borders of the package: how many of them are ``Any``."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import instruct_mner

PACKAGE = Path(instruct_mner.__file__).parent
# Half of the 175 of version 0.1.0, by this count; it may only be lowered.
MOST = 95


def public_annotations(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    """Annotations of public functions, and of attributes and methods of public classes, each with a name."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from ((f"{node.name}.{name}", annotation) for name, annotation in public_annotations(node.body))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if not node.target.id.startswith("_"):
                yield node.target.id, node.annotation
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("_") and not node.name.startswith("__"):
                continue
            arguments = node.args
            several = [each for each in (arguments.vararg, arguments.kwarg) if each is not None]
            for each in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *several]:
                if each.annotation is not None:
                    yield f"{node.name}({each.arg})", each.annotation
            if node.returns is not None:
                yield f"{node.name}()", node.returns


def holds_any(annotation: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) and node.id == "Any" for node in ast.walk(annotation))


def public_any() -> list[str]:
    """Each public annotation that holds ``Any``: the file, and the name in it."""
    return [
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for name, annotation in public_annotations(ast.parse(path.read_text(encoding="utf-8")).body)
        if holds_any(annotation)
    ]


def test_few_public_types_are_any() -> None:
    found = public_any()
    by_room = Counter(line.split("/")[0] for line in found)
    assert len(found) <= MOST, f"{len(found)} public annotations hold Any, at most {MOST} may: {dict(by_room)}"


def test_the_counter_counts() -> None:
    source = """
class Public:
    field: Any
    _own: Any
    def method(self, x: list[Any], *rest: int, **more: Any) -> Any: ...
    def _hidden(self, x: Any) -> Any: ...
class _Hidden:
    field: Any
def function(x: int, y: "dict[str, int]") -> dict[str, Any]: ...
"""
    names = [name for name, annotation in public_annotations(ast.parse(source).body) if holds_any(annotation)]
    assert names == ["Public.field", "Public.method(x)", "Public.method(more)", "Public.method()", "function()"]
