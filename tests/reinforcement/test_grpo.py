"""GRPOTrainer comes without vLLM, whose import takes longer than all else."""

from __future__ import annotations

import subprocess
import sys

import pytest

import instruct_mner.reinforcement.grpo  # noqa: F401


@pytest.mark.prove  # a process of ten seconds
def test_reinforcement_imports_no_vllm() -> None:
    code = "import sys, instruct_mner.reinforcement.grpo as _; print([each for each in sys.modules if each == 'vllm'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert "vLLM versions" not in done.stderr
