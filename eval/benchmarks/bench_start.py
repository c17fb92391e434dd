"""Time of `instruct-mner --help` over that of an empty Python, in one run: ``-m eval.benchmarks.bench_start``."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

RUNS = 10


def best_seconds(command: list[str]) -> float:
    """Return the wall-clock seconds of a command, the best of ``RUNS``."""
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def measure() -> dict[str, float]:
    """Return the seconds of both commands, and their difference."""
    program = str(Path(sys.executable).parent / "instruct-mner")
    started = best_seconds([program, "--help"])
    empty = best_seconds([sys.executable, "-c", "pass"])
    return {"help_seconds": started, "python_seconds": empty, "difference_seconds": started - empty}


if __name__ == "__main__":
    print(", ".join(f"{name} {value:.3f}" for name, value in measure().items()))
