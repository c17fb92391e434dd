"""The language of the docstrings: how they open, and that the texts of arguments are whole noun phrases."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "instruct_mner"
FILES = sorted(PACKAGE.rglob("*.py"))
QUESTION = re.compile(r"(?:What|Whether|Where|Who|Whose|How|When|Why|Which)\b")
# "Of the weights." needs the name of the argument to be a phrase: it is a fragment.
FRAGMENT = re.compile(r"(?:Of|In|For|From|Its|Their|As|By|With|Beside|On|To|That|Where|What|How|Who|When|Why|Which)\b")
ARGUMENT = re.compile(r" {4}(\*{0,2}\w+): (.*)")
SECTION = re.compile(r"(\w+):$")


def docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """Yield place and text of each docstring of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text is not None:
                yield f"{path.relative_to(PACKAGE)}:{getattr(node, 'lineno', 1)}", text


def argument_texts(docstring: str) -> Iterator[str]:
    """Yield the texts of the arguments and attributes that a docstring lists."""
    section = ""
    for line in docstring.split("\n"):
        if heading := SECTION.match(line):
            section = heading[1]
        elif section in {"Args", "Attributes"} and (argument := ARGUMENT.fullmatch(line)):
            yield argument[2]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_docstring_opens_with_a_question_word_and_no_argument_text_is_a_fragment(path: Path) -> None:
    openings = [f"{place}: {text.splitlines()[0]}" for place, text in docstrings(path) if QUESTION.match(text)]
    fragments = [
        f"{place}: {text}" for place, doc in docstrings(path) for text in argument_texts(doc) if FRAGMENT.match(text)
    ]
    assert not openings + fragments


def test_the_rules_tell_good_from_bad() -> None:
    assert QUESTION.match("Whether a box fits.")
    assert not QUESTION.match("Whole numbers of a box.")
    bad = "Do.\n\nArgs:\n    seed: Of the draws.\n    size: Width of a box.\n        Its second line.\n"
    assert [text for text in argument_texts(bad) if FRAGMENT.match(text)] == ["Of the draws."]
