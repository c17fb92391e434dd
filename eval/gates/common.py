"""What all gates share: their result, where things lie, and how the command line is run."""

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
    """What a gate measured.

    Attributes:
        value: A number, or several by name.
        bound: What must hold, in words.
        passed: Whether it does.
    """

    value: Any
    bound: str
    passed: bool


Gate = Callable[[], Result]


class SkippedGateError(Exception):
    """The input of a gate is not on this machine; the message says which."""


def shared_data(name: str) -> Path:
    """A folder of the real data beside the checkout.

    Raises:
        SkippedGateError: It is not there.
    """
    path = SHARED / name
    if not path.exists():
        raise SkippedGateError(f"the real data are not beside this checkout (../shared/data/{name})")
    return path


def seeded(seed: int) -> random.Random:
    """A source of numbers that are the same in every run."""
    return random.Random(seed)  # noqa: S311 (no secret)


def run_program(*arguments: str, folder: Path | None = None, threads: int = 1) -> str:
    """Runs ``instruct-mner`` as a user would, and returns its standard output.

    Args:
        *arguments: Verb and flags.
        folder: Where it is started.
        threads: Of torch.

    Raises:
        RuntimeError: It did not exit with 0; the message holds the end of its standard error.
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
    """``run_program`` of a verb that prints one JSON object."""
    return json.loads(run_program(*arguments, folder=folder, threads=threads))


def _environment(threads: int) -> Mapping[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
