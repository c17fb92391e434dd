"""GRPOTrainer comes without vLLM, whose import takes longer than all else."""

from __future__ import annotations

import subprocess
import sys

import instruct_mner.reinforcement.grpo  # noqa: F401


def test_reinforcement_imports_no_vllm() -> None:
    code = "import sys, instruct_mner.reinforcement.grpo as _; print([each for each in sys.modules if each == 'vllm'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert "vLLM versions" not in done.stderr
