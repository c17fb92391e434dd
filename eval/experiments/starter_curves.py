"""Plot of the measurements of a build of the starter: ``starter-curves.jsonl`` as ``starter.png``.

::

    python -m eval.experiments.starter_curves [CURVES PNG]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[1] / "results"
PANELS = {
    "eyes": ("type", "colour", "first letter", "second letter", "invented"),
    "questions": ("question colour", "question place", "question letters", "tokens repeat", "tokens describe"),
    "types in posts": ("several colour", "several place", "several letters", "none told", "several none"),
    "renamed, boxes": ("hop name", "define", "renamed: linked colour", "renamed: one none", "tokens grounded"),
}


def main() -> None:
    """Run the command line."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    default = (RESULTS / "starter-curves.jsonl", RESULTS / "starter.png")
    source, target = (*map(Path, sys.argv[1:]), *default[len(sys.argv) - 1 :])
    rows = _on_one_clock([json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()])
    figure, axes = plt.subplots(2, 2, figsize=(11, 6.4), sharex=True)
    begins = {row["stage"]: row["begin"] for row in rows}
    for axis, (title, names) in zip(axes.flat, PANELS.items(), strict=True):
        for name in names:
            points = [(row["clock"], row[name]) for row in rows if name in row]
            axis.plot(*zip(*points, strict=True), label=name)
        for stage, begin in begins.items():
            axis.axvline(begin, color="grey", linewidth=0.5)
            axis.text(begin, 1.02, f" {stage}", fontsize=7, color="grey")
        axis.set(title=title, ylim=(0, 1.08))
        axis.legend(fontsize=7, loc="lower right")
    for axis in axes[1]:
        axis.set_xlabel("minutes of one core")
    figure.tight_layout()
    figure.savefig(target, dpi=90)
    print(target)


def _on_one_clock(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with the begin of their stage, and minutes since the build began."""
    begin = last = 0.0
    stage = rows[0]["stage"]
    for row in rows:
        if row["stage"] != stage:
            stage, begin = row["stage"], last
        last = begin + row["minutes"]
        row.update(begin=begin, clock=last)
    return rows


if __name__ == "__main__":
    main()
