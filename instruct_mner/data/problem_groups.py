"""Problems of files grouped by their cause: 30,000 rows with one fault are one fault."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from instruct_mner.errors import DataError, listing

_VALUES = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\[[^\]]*\]|\d+(?:\.\d+)?""")
_PLACES = 3


class ProblemGroups:
    """Problems ``place: reason``, of which those are of one cause that differ in quoted values and numbers alone."""

    def __init__(self, problems: Iterable[str] = ()) -> None:
        self._first: dict[str, list[str]] = {}
        self._counts: Counter[str] = Counter()
        self.add_all(problems)

    def __bool__(self) -> bool:
        return bool(self._counts)

    def add(self, problem: str) -> None:
        """Add a problem; of each cause only the first three are held."""
        _, _, reason = problem.partition(": ")
        cause = _VALUES.sub("…", reason or problem)
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

    def stop(self, source: str) -> None:
        """Raise all problems as one error, if there are any.

        Raises:
            DataError: There are problems.
        """
        if self._counts:
            number = self._counts.total()
            raise DataError(f"{source} cannot be used, {number:,} problem(s):\n{listing(self.lines())}")


def group_problems(problems: Iterable[str]) -> list[str]:
    """Return the lines of problems by cause: of each cause the first three, then the number of the others."""
    return ProblemGroups(problems).lines()
