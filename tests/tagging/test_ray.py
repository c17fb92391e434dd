"""Ray Data, with two workers on this machine: the same predictions in the same order, whoever dies on the way.

The workers ask a server that answers by rule, so that nothing is loaded; it also is what kills them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from fake_server import first_word_is_a_person, post_of, serving
from typer.testing import CliRunner

from instruct_mner.cli import app
from instruct_mner.data.prediction_parquet import read_table
from instruct_mner.data.stream import look_through
from instruct_mner.errors import ConfigError, ServingError
from instruct_mner.schema.labels import LabelSet
from instruct_mner.scoring.predictions import read_predictions
from instruct_mner.tagging.ray import RayJob, _prediction, _Worker, places_of
from instruct_mner.tagging.settings import TaggingSettings

NUM_POSTS = 64 * 5 + 10


def ask(*arguments: object) -> list[str]:
    return ["tag", *map(str, arguments), "--model", "m", "--labels", "PER"]


def run(*arguments: object) -> None:
    result = CliRunner().invoke(app, ask(*arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    path = tmp_path / "posts.jsonl"
    path.write_text("".join(json.dumps({"id": n, "text": f"Name{n} and more"}) + "\n" for n in range(NUM_POSTS)))
    return path


class Killer:
    """A server's answers; on two posts it kills a worker, and later the driver."""

    def __init__(self, partial: Path) -> None:
        self.partial = partial
        self.driver: subprocess.Popen[bytes] | None = None
        self.workers: list[int] = []
        self.descendants: list = []
        self.lock = threading.Lock()

    def __call__(self, body, number):
        with self.lock:
            if self.driver is not None and not self.workers and post_of(body).startswith("Name100 "):
                self.workers = [child.pid for child in self.family() if child.name().startswith("ray::MapWork")]
                os.kill(self.workers[0], signal.SIGKILL)
        if self.driver is not None and self.driver.returncode is None and post_of(body).startswith("Name300 "):
            while self.num_written() < 100:  # of the windows before, which others are at
                threading.Event().wait(0.05)
            # Ray's own agents end by themselves a minute after it.
            self.descendants = [child for child in self.family() if "Agent" not in child.name()]
            self.driver.kill()
            self.driver.wait()
        return first_word_is_a_person(body, number)

    def num_written(self) -> int:
        return self.partial.read_bytes().count(b"\n") if self.partial.is_file() else 0

    def family(self) -> list:
        import psutil

        assert self.driver is not None
        return psutil.Process(self.driver.pid).children(recursive=True)


@pytest.mark.prove
def test_worker_and_driver_are_killed_and_the_run_goes_on(posts, tmp_path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed (the extra 'ray')")
    import psutil

    killer = Killer(tmp_path / "out.parquet.partial")
    with serving(killer) as server:
        run(posts, "-o", tmp_path / "one.jsonl", "--endpoint", server.url)
        output = ["-o", tmp_path / "out.parquet", "--endpoint", server.url]
        command = [sys.executable, "-m", "instruct_mner", *ask(posts, *output, "--engine", "ray", "--workers", 2)]
        killer.driver = subprocess.Popen(command, stderr=(tmp_path / "driver.log").open("w"))
        killer.driver.wait(timeout=240)
        assert len(killer.workers) == 2
        assert killer.driver.returncode == -signal.SIGKILL
        _, alive = psutil.wait_procs(killer.descendants, timeout=60)
        assert not alive  # no worker and no raylet is left behind
        done = killer.num_written() - 1
        assert 64 < done < NUM_POSTS
        assert not (tmp_path / "out.parquet").exists()
        asked_before = len(server.bodies)
        run(posts, *output)  # goes on in one process: where it runs is no setting
        assert len(server.bodies) - asked_before == NUM_POSTS - done + done % 64
    assert list(read_table(tmp_path / "out.parquet")) == read_predictions(tmp_path / "one.jsonl")
    assert not killer.partial.exists()


def job_of(posts: Path, endpoint: str | None, workers: int | None = None) -> RayJob:
    settings = TaggingSettings(model="m", endpoint=endpoint, engine="endpoint")
    stream = look_through(posts, "jsonl", images=None, missing_image="error", show_pictures=True, every=64)
    return RayJob(settings=settings, posts=stream, labels=LabelSet.of(["PER"]), window=64, num_workers=workers)


def test_what_a_worker_says_that_must_be_mended(posts) -> None:
    with serving(lambda body, number: (404, {"error": {"message": "no such model"}})) as server:
        found = _Worker(job_of(posts, server.url))({"window": np.array([0])})
    assert len(found["line"]) == 1
    with pytest.raises(ServingError, match="no such model"):
        _prediction({name: values[0] for name, values in found.items()})
    found = _Worker(job_of(posts, "nowhere"))({"window": np.array([0])})  # cannot even begin
    with pytest.raises(ConfigError, match="--endpoint nowhere"):
        _prediction({name: values[0] for name, values in found.items()})


def test_the_last_window_is_short(posts) -> None:
    with serving() as server:
        found = _Worker(job_of(posts, server.url))({"window": np.array([5])})
    assert [json.loads(line)["id"] for line in found["line"]] == [str(n) for n in range(320, NUM_POSTS)]


CPUS = {"CPU": 8.0, "node:__internal_head__": 1.0, "node:10.0.0.1": 1.0, "node:10.0.0.2": 1.0}


@pytest.mark.parametrize(
    ("endpoint", "workers", "total", "expected"),
    [
        (None, None, CPUS, (2, {"num_cpus": 1})),
        (None, None, {**CPUS, "GPU": 3.0}, (3, {"num_cpus": 0, "num_gpus": 1})),
        ("http://a", None, {**CPUS, "GPU": 3.0}, (2, {"num_cpus": 1})),
        (None, 7, CPUS, (7, {"num_cpus": 1})),
    ],
)
def test_how_many_workers(endpoint, workers, total, expected, posts) -> None:
    assert places_of(job_of(posts, endpoint, workers), total) == expected


def test_more_workers_than_places(posts) -> None:
    with pytest.raises(ConfigError, match="--workers 9: Ray has 8 processors"):
        places_of(job_of(posts, None, 9), CPUS)


def test_without_ray(posts, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"instruct-mner\[ray\]"):
        run(posts, "--endpoint", "http://127.0.0.1:1", "--engine", "ray")


@pytest.mark.parametrize(
    ("engine", "message"),
    [("rey", "known: transformers, vllm, endpoint, and ray"), ("ray:nothing", "no engine 'nothing'"),
     ("endpoint", "needs --endpoint")],
)  # fmt: skip
def test_engines_that_are_none(engine, message, posts) -> None:
    with pytest.raises(ConfigError, match=message):
        run(posts, "--engine", engine)
