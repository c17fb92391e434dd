"""``serve --missing-image generate`` with real vLLM: posts without a picture are answered as by transformers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest
from runs import QUIET, config_of

from instruct_mner import Tagger
from instruct_mner.data.loading import load_split
from instruct_mner.models.families import FAMILIES
from instruct_mner.testing import build_tiny
from instruct_mner.testing.posts import make_posts
from instruct_mner.training.config import load_config
from instruct_mner.training.finetune import finetune
from instruct_mner.vllm_runtime.process import free_port

pytestmark = [
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed (make setup brings it)"),
    pytest.mark.prove,
    pytest.mark.timeout(1800),
]
FLAGS = ("--missing-image", "generate", "--dtype", "float32", "--vllm=--enforce-eager", "--vllm=--max-model-len=2048")
ENVIRONMENT = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


# The starter, which is an Idefics3: `eval/benchmarks/generated_pictures.py`.
@pytest.mark.parametrize("family", [each.name for each in FAMILIES.values() if each.takes_features])
def test_posts_are_answered_as_by_transformers(family: str, tmp_path: Path) -> None:
    tiny = build_tiny(family, tmp_path / "tiny", texts=["Name the entities of the post: PER LOC"] * 4, width=128)
    changes = {
        "alignment": {"generative": {"grid": 2, "generated_share": 1.0}},
        "lora": {"rank": 32, "alpha": 64, "dropout": 0.0},
        "optimizer": {"epochs": 40, "batch_size": 6, "learning_rate": 0.005},
        "evaluation": {"every_steps": 40},
    }
    run = finetune(load_config(config_of(tiny, tmp_path / "tuned", **changes)), QUIET)
    dataset = load_split(str(make_posts(tmp_path)))
    posts = [post.without_images() for post in dataset.examples]
    tagger = Tagger.from_pretrained(run, dtype="float32", generated=True)
    expected = [
        [(each.start, each.end, each.label) for each in prediction.entities] for prediction in tagger.predict(posts)
    ]
    assert any(expected)
    port, log = free_port(), tmp_path / "serve.log"
    command = [sys.executable, "-m", "instruct_mner", "serve", str(run), "--port", str(port), *FLAGS]
    with log.open("w") as errors:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=ENVIRONMENT)
    assert server.stdout is not None
    try:
        assert any(line.startswith("print(") for line in server.stdout), log.read_text()[-3000:]
        body = {"posts": [{"text": post.text} for post in posts]}
        answer = httpx.post(f"http://127.0.0.1:{port}/v1/entities", json=body, timeout=300).raise_for_status().json()
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)
    found = [[(each["start"], each["end"], each["label"]) for each in post["entities"]] for post in answer["posts"]]
    assert found == expected
