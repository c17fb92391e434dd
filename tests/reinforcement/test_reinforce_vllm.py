"""Reinforcement with answers that real vLLM draws, which is given the adapter anew in each step."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from runs import QUIET

from instruct_mner.testing import build_tiny
from instruct_mner.testing.posts import make_posts
from instruct_mner.training.config import load_config
from instruct_mner.training.finetune import finetune


@pytest.mark.prove
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_vllm_draws_legal_answers_by_the_weights_of_each_step(temperature, tmp_path: Path) -> None:
    # vLLM's attention on a CPU has heads of 32 features at least.
    texts = ["Name the entities of the post: PER LOC ORG MISC Jordan Chicago [12, 40, 500, 1000] none"] * 4
    model = build_tiny("idefics3", tmp_path / "tiny", texts=texts, width=128)
    posts = str(make_posts(tmp_path / "posts"))
    values = {
        "model": str(model),
        "dtype": "float32",
        "data": {"train": posts, "missing_image": "text"},
        "answer": {"grounded": True, "max_entities": 3},
        "lora": {"rank": 8, "dropout": 0.0},
        "optimizer": {"max_steps": 2, "batch_size": 2, "learning_rate": 0.01},
        "output": str(tmp_path / "run"),
        "reinforcement": {
            "engine": "vllm",
            "vllm": ["--max-model-len=1024", "--enforce-eager"],
            "num_answers": 3,
            "posts_per_step": 3,
            "max_steps": 4,
            # So large that the adapter of the step before would be seen to be another.
            "learning_rate": 0.05,
            "temperature": temperature,
        },
    }
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(values))
    finetune(load_config(config), QUIET)
    done = subprocess.run(
        [sys.executable, "-m", "instruct_mner", "reinforce", str(config)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in (tmp_path / "run-reinforced" / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "reward" in line]
    assert len(steps) == 4
    assert any(line["grad_norm"] > 0 for line in steps[:-1])
    for line in steps:
        assert line["answers/illegal"] == line["answers/unplaceable"] == 0
        assert line["answers/engines_apart"] < 2e-3
