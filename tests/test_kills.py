"""Runs that are killed at random points, and whose inputs change before they go on: nothing lost, twice or mixed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = Path(__file__).with_name("kill_driver.py")


@pytest.mark.prove
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("command", ["tag", "finetune"])
def test_a_run_that_is_killed_anywhere_goes_on_to_the_same_result(command: str, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, str(DRIVER), command, "0"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "INSTRUCT_MNER_LOG_SECONDS": "1000"},
    )
    proof = json.loads(result.stdout)
    assert (proof["kills"], proof["faults"]) == (20, [])
    assert len(proof["changed"]) == 3
