"""Result of a gate, places of the data, and the command line as a subprocess."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
PROGRAM = Path(sys.executable).parent / "instruct-mner"


@dataclass(frozen=True)
class Result:
    """Result of a gate.

    Attributes:
        value: Measured number, or several by name.
        bound: Condition for passing, in words.
        passed: Whether the condition holds.
    """

    value: Any
    bound: str
    passed: bool


Gate = Callable[[], Result]


class SkippedGateError(Exception):
    """Error of a gate whose input is not on this machine; the message names the input."""


def shared_data(name: str) -> Path:
    """Return a folder of the real data beside the checkout.

    Raises:
        SkippedGateError: It does not exist.
    """
    path = SHARED / name
    if not path.exists():
        raise SkippedGateError(f"the real data are not beside this checkout (../shared/data/{name})")
    return path


def seeded(seed: int) -> random.Random:
    """Return a random generator with a fixed seed."""
    return random.Random(seed)  # noqa: S311 (no secret)


def run_program(*arguments: str, folder: Path | None = None, threads: int = 1) -> str:
    """Run ``instruct-mner`` as a user would, and return its standard output.

    Args:
        *arguments: Verb and flags.
        folder: Working directory; by default the current one.
        threads: Number of threads of torch.

    Raises:
        RuntimeError: The exit code is not 0; the message holds the end of the standard error.
    """
    finished = subprocess.run(  # noqa: S603 (our own program)
        [str(PROGRAM), *arguments],
        cwd=folder,
        env=_environment(threads),
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode != 0:
        raise RuntimeError(
            f"instruct-mner {' '.join(arguments)}: exit code {finished.returncode}\n{finished.stderr[-2000:]}"
        )
    return finished.stdout


def run_program_json(*arguments: str, folder: Path | None = None, threads: int = 1) -> Any:
    """Run a verb that prints one JSON object, and return the object."""
    return json.loads(run_program(*arguments, folder=folder, threads=threads))


def _environment(threads: int) -> Mapping[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
