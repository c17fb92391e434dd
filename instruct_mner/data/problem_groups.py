"""Problems of files grouped by their cause: 30,000 rows with one fault are one fault."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from shlex import quote

from instruct_mner.errors import DataError, listing

_VALUES = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\[[^\]]*\]|\d+(?:\.\d+)?""")
_PLACES = 3
# A row of another tool has fields of its own; one that is nearly a field of ours is a mistake.
_OF_ANOTHER_TOOL = re.compile(r"(.+):\d+: (?:\w+: unknown field|text: is needed)")


class ProblemGroups:
    """Problems ``place: reason``, of which those are of one cause that differ in quoted values and numbers alone."""

    def __init__(self, problems: Iterable[str] = ()) -> None:
        self._first: dict[str, list[str]] = {}
        self._counts: Counter[str] = Counter()
        self._foreign: str | None = None
        self.add_all(problems)

    def __bool__(self) -> bool:
        return bool(self._counts)

    def add(self, problem: str) -> None:
        """Add a problem; of each cause only the first three are held."""
        _, _, reason = problem.partition(": ")
        cause = _VALUES.sub("…", reason or problem)
        if self._foreign is None and (foreign := _OF_ANOTHER_TOOL.fullmatch(problem)) is not None:
            self._foreign = foreign[1]
        self._counts[cause] += 1
        if self._counts[cause] <= _PLACES:
            self._first.setdefault(cause, []).append(problem)

    def add_all(self, problems: Iterable[str]) -> None:
        """Add problems in their order."""
        for problem in problems:
            self.add(problem)

    def lines(self) -> list[str]:
        """Return the lines: of each cause the first three problems, then the number of the others."""
        lines: list[str] = []
        for cause, first in self._first.items():
            lines += first
            number = self._counts[cause]
            if number > _PLACES:
                lines.append(f"… and {number - _PLACES:,} more of the same cause, {number:,} in all")
        return lines

    def stop(self, source: str, *, of_posts: bool = False) -> None:
        """Raise all problems as one error, if there are any.

        Args:
            source: Name of the file.
            of_posts: True for a file of posts, of which an export of another tool is told to be imported.

        Raises:
            DataError: There are problems.
        """
        if self._counts:
            number = self._counts.total()
            lines = [f"{source} cannot be used, {number:,} problem(s):", listing(self.lines())]
            lines += [f"  {hint}" for hint in self.hints() if of_posts]
            raise DataError("\n".join(lines))

    def hints(self) -> list[str]:
        """Return a line on a file of posts with rows of another tool, where there is one."""
        if self._foreign is None:
            return []
        return [f"where it is the export of another tool: instruct-mner import {quote(self._foreign)} -o posts.jsonl"]


def group_problems(problems: Iterable[str]) -> list[str]:
    """Return the lines of problems by cause: of each cause the first three, then the number of the others."""
    return ProblemGroups(problems).lines()
