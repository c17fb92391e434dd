"""Problems of files grouped by their cause: 30,000 rows with one fault are one fault."""

from __future__ import annotations

import re
from collections.abc import Iterable

_VALUES = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\[[^\]]*\]|\d+(?:\.\d+)?""")
_PLACES = 3


def group_problems(problems: Iterable[str]) -> list[str]:
    """Return the lines of problems by cause: of each cause the first three, then the number of the others.

    Args:
        problems: Lines ``place: reason``; reasons that differ in quoted values and numbers alone are of one cause.
    """
    groups: dict[str, list[str]] = {}
    for problem in problems:
        _, _, reason = problem.partition(": ")
        groups.setdefault(_VALUES.sub("…", reason or problem), []).append(problem)
    lines: list[str] = []
    for members in groups.values():
        lines += members[:_PLACES]
        if len(members) > _PLACES:
            lines.append(f"… and {len(members) - _PLACES:,} more of the same cause, {len(members):,} in all")
    return lines
