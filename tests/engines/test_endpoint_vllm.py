"""The endpoint engine against real vLLM, on the CPU: what is served answers as what is loaded."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest
from posts import make_posts
from runs import QUIET, config_of

from instruct_mner import Tagger
from instruct_mner.data import Dataset, load_split
from instruct_mner.engines.endpoint import Endpoint
from instruct_mner.engines.wire import Constraint
from instruct_mner.models.tiny import build_tiny
from instruct_mner.training.config import load_config
from instruct_mner.training.finetune import finetune

pytestmark = [
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed (make setup brings it)"),
    pytest.mark.timeout(400),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A whole model that knows the tests' posts by heart, so that no near tie can go either way."""
    changes = {
        "tuning": "full",
        "answer": {"grounded": True},
        "optimizer": {"epochs": 120, "batch_size": 6, "learning_rate": 0.002},
        "evaluation": {"every_steps": 120},
    }
    folder = tmp_path_factory.mktemp("served")
    # vLLM's attention on the CPU takes heads of 32 and more.
    base = build_tiny("qwen3_vl", folder / "base", texts=["Name the entities of the post: PER LOC"] * 4, width=128)
    config = config_of(base, folder, **changes)
    return finetune(load_config(config), QUIET)


@pytest.fixture(scope="module")
def server(run) -> Iterator[str]:
    """The address of a vLLM that serves it under the name ``mner``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(run / "model"),
        "--served-model-name", "mner", "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32",
        "--enforce-eager", "--max-model-len", "2048", "--structured-outputs-config", '{"backend":"guidance"}',
        "--limit-mm-per-prompt", '{"image":1}', "--allowed-media-domains", "nowhere.invalid",
    ]  # fmt: skip
    log = run / "server.log"
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
    while True:
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            break
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1)
            pytest.fail("vLLM did not start:\n" + log.read_text()[-3000:])
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait()


# One test, because each process of a parallel run would start a server of its own.
def test_real_vllm(run, server, tmp_path) -> None:
    dataset = load_split(str(make_posts(tmp_path)))
    _answers_as_what_is_loaded(run, server, dataset)
    for constraint in ("grammar", "schema"):
        _answers_labels_never_seen(server, dataset, constraint)


def _answers_as_what_is_loaded(run: Path, server: str, dataset: Dataset) -> None:
    loaded = Tagger.from_pretrained(run).predict(dataset.examples, dataset.picture_paths)
    served = Tagger.connect(server, model="mner", adapter=run).predict(dataset.examples, dataset.picture_paths)
    for here, there in zip(loaded, served, strict=True):
        assert here.id == there.id
        assert [(e.start, e.end, e.label, e.boxes) for e in here.entities] == [
            (e.start, e.end, e.label, e.boxes) for e in there.entities
        ]
        assert here.rejected == there.rejected
        # vLLM gives the probabilities that are left after the grammar has taken its share: never smaller.
        assert all(a.score <= b.score + 1e-3 for a, b in zip(here.entities, there.entities, strict=True))


def _answers_labels_never_seen(server: str, dataset: Dataset, constraint: Constraint) -> None:
    tagger = Tagger.connect(Endpoint(server, "mner", constraint=constraint))
    labels = {"venue": "a place to play", "club": None}
    found = list(tagger.predict(dataset.examples, dataset.picture_paths, labels))
    assert [each.id for each in found] == [example.id for example in dataset.examples]
    for each in found:
        assert {entity.label for entity in each.entities} <= {"venue", "club"}
        if constraint == "grammar":  # a schema cannot say that a mention must stand in the post
            assert each.rejected.hallucinated == 0
