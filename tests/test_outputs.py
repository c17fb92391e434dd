"""Outputs on a disk that is full, and two runs on one output: told in one message, and nothing lost or mixed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = Path(__file__).with_name("output_driver.py")


@pytest.mark.prove
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("proof", ["full", "twice"])
def test_no_output_is_lost_or_mixed(proof: str, tmp_path: Path) -> None:
    if proof == "full" and (os.geteuid() != 0 or not shutil.which("mount")):
        pytest.skip("only root mounts a small disk")
    result = subprocess.run(
        [sys.executable, str(DRIVER), proof],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "INSTRUCT_MNER_LOG_SECONDS": "1000"},
    )
    assert json.loads(result.stdout) == []
