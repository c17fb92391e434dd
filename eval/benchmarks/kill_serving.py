"""Tagging with ``kill -9`` of client, server and Ray worker: every post once, the same predictions.

    python -m eval.benchmarks.kill_serving --model starter --posts 5000 --output kill.json
    python -m eval.benchmarks.kill_serving --model starter --posts 500 --cases client server

Each case is also run once without a kill. Then:

- client: ``tag --engine vllm`` is killed after a third and after two thirds, and started again;
- server: ``serve`` is killed while ``tag --endpoint`` sends requests; no process of it may be left; both start again;
- ray: a worker of ``tag --engine ray:vllm --workers 2`` is killed.

``cmp`` compares the files byte for byte, scores included. Where it finds a difference, the report has the number of
posts with other entities, and the largest difference of a score: vLLM's sums depend on the other posts of a batch, and
bfloat16 rounds them. The program prints one JSON object; its exit code is 1 where a post is missing, comes twice, or
has other entities.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from filecmp import cmp
from pathlib import Path
from typing import Any

import psutil

from eval.benchmarks.report_file import print_report
from instruct_mner.models.tuned import tuned_folder
from instruct_mner.schema.records import Prediction
from instruct_mner.synthetic.label_sets import COARSE
from instruct_mner.synthetic.settings import Synthesis
from instruct_mner.synthetic.write import synth
from instruct_mner.vllm_runtime.process import free_port

_FLAG = "--vllm=--max-model-len=2048"
_PROGRAM = [sys.executable, "-m", "instruct_mner"]


class Killing:
    """Runs over one file, some of them with a kill in the middle.

    Args:
        model: Whole model that vLLM serves.
        posts: File of the posts.
        num_posts: Number of posts in the file.
        folder: Folder of the predictions.
    """

    def __init__(self, model: str, posts: Path, num_posts: int, folder: Path) -> None:
        self._model, self._posts, self._num_posts, self._folder = model, posts, num_posts, folder
        # The address is one of the settings that a partial file must be continued with.
        self._port = free_port()

    def tag(self, output: Path, *further: str) -> subprocess.Popen[bytes]:
        """Start ``tag``."""
        command = [*_PROGRAM, "tag", str(self._posts), "-o", str(output), *further]
        log = output.with_suffix(".log").open("ab")
        return subprocess.Popen(command, stderr=log, start_new_session=True)  # noqa: S603 (our own program)

    def wait_for(self, output: Path, share: float, running: subprocess.Popen[bytes]) -> int:
        """Wait until a share of the posts is written, and return the number of written posts."""
        partial = output.with_name(output.name + ".partial")
        while running.poll() is None:
            done = partial.read_bytes().count(b"\n") - 1 if partial.exists() else 0
            if done >= share * self._num_posts:
                return done
            time.sleep(0.2)
        raise RuntimeError(f"it ended before it could be killed: {output.with_suffix('.log').read_text()[-2000:]}")

    def finished(self, running: subprocess.Popen[bytes], output: Path) -> None:
        """Wait for exit code 0."""
        if running.wait() != 0:
            raise RuntimeError(output.with_suffix(".log").read_text()[-2000:])

    def client(self) -> dict[str, Any]:
        """Kill ``tag --engine vllm`` twice."""
        way = ("--model", self._model, "--engine", "vllm", _FLAG)
        plain, output = self._folder / "vllm.jsonl", self._folder / "client.jsonl"
        if not plain.exists():
            self.finished(self.tag(plain, *way), plain)
        killed_at = []
        for share in (1 / 3, 2 / 3):
            running = self.tag(output, *way)
            killed_at.append(self.wait_for(output, share, running))
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
        self.finished(self.tag(output, *way), output)
        return {"killed after posts": killed_at, **self.compare(plain, output)}

    def server(self) -> dict[str, Any]:
        """Kill ``serve`` while it answers."""
        plain, output = self._folder / "endpoint.jsonl", self._folder / "server.jsonl"
        with self._serving() as (server, way):
            self.finished(self.tag(plain, *way), plain)
            running = self.tag(output, *way)
            killed_at = self.wait_for(output, 1 / 3, running)
            family = [server, *server.children(recursive=True)]
            server.kill()
            _, left = psutil.wait_procs(family[1:], timeout=60)
            code = running.wait()
            last_line = output.with_suffix(".log").read_text().strip().splitlines()[-1]
        with self._serving() as (_, way):
            self.finished(self.tag(output, *way), output)
        return {
            "killed after posts": killed_at,
            "processes left of the server": len(left),
            "exit code of the client": code,
            "which said": last_line[:200],
            **self.compare(plain, output),
        }

    def ray(self) -> dict[str, Any]:
        """Kill a worker of Ray."""
        plain, output = self._folder / "vllm.jsonl", self._folder / "ray.jsonl"
        if not plain.exists():
            self.finished(self.tag(plain, "--model", self._model, "--engine", "vllm", _FLAG), plain)
        way = ("--model", self._model, "--engine", "ray:vllm", "--workers", "2", _FLAG)
        running = self.tag(output, *way)
        killed_at = self.wait_for(output, 1 / 3, running)
        workers = [
            each
            for each in psutil.Process(running.pid).children(recursive=True)
            if _name(each).startswith("ray::MapWork")
        ]
        workers[0].kill()
        self.finished(running, output)
        return {"killed after posts": killed_at, "workers": len(workers), **self.compare(plain, output)}

    @contextmanager
    def _serving(self) -> Iterator[tuple[psutil.Process, tuple[str, ...]]]:
        command = [*_PROGRAM, "serve", "--model", self._model, "--port", str(self._port), _FLAG]
        with (self._folder / "serve.log").open("wb") as log:
            server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)  # noqa: S603
        assert server.stdout is not None
        try:
            for line in server.stdout:
                if line.startswith("print("):
                    break
            else:
                raise RuntimeError((self._folder / "serve.log").read_text()[-2000:])
            yield psutil.Process(server.pid), self._asking(f"http://127.0.0.1:{self._port}")
        finally:
            server.terminate()
            server.wait()

    def _asking(self, url: str) -> tuple[str, ...]:
        """Return the flags for a server: the name there, and the folder with the settings."""
        way = ("--endpoint", url, "--model", Path(self._model).name, "--concurrency", "32")
        folder = tuned_folder(self._model)
        return way if folder is None else (*way, "--adapter", str(folder))

    def compare(self, plain: Path, output: Path) -> dict[str, Any]:
        """Return the differences of two files of predictions."""
        there = [Prediction.model_validate_json(line) for line in plain.open(encoding="utf-8")]
        here = [Prediction.model_validate_json(line) for line in output.open(encoding="utf-8")]
        ids = [each.id for each in here]
        other = [
            a.id
            for a, b in zip(there, here, strict=True)
            if [(e.start, e.end, e.label) for e in a.entities] != [(e.start, e.end, e.label) for e in b.entities]
        ]
        scores = [
            abs(x.score - y.score)
            for a, b in zip(there, here, strict=True)
            if a.id not in other
            for x, y in zip(a.entities, b.entities, strict=True)
        ]
        return {
            "posts": len(ids),
            "each once": len(set(ids)) == len(ids) == self._num_posts,
            "cmp": "equal" if cmp(plain, output, shallow=False) else "differs",
            "posts with other entities": len(other),
            "largest difference of a score": round(max(scores, default=0.0), 4),
        }


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return ""


def main() -> int:
    """Print the report and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="starter", help="whole model that vLLM serves; default starter")
    parser.add_argument("--posts", type=int, default=5000, help="number of posts; default 5000")
    parser.add_argument("--cases", nargs="+", default=["client", "server", "ray"], help="cases to run; default all")
    parser.add_argument("--output", type=Path, help="file of the report")
    chosen = parser.parse_args()
    report: dict[str, Any] = {"model": chosen.model, "posts": chosen.posts}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        posts = synth(folder / "posts", Synthesis(domain=COARSE, split="test"), chosen.posts, seed=21).path
        killing = Killing(chosen.model, posts, chosen.posts, folder)
        cases: dict[str, Callable[[], dict[str, Any]]] = {
            "client": killing.client, "server": killing.server, "ray": killing.ray,
        }  # fmt: skip
        for name in chosen.cases:
            begin = time.monotonic()
            report[name] = {**cases[name](), "seconds": round(time.monotonic() - begin)}
            print(name, json.dumps(report[name]), file=sys.stderr, flush=True)
    print_report(report, chosen.output)
    return int(
        not all(report[name]["each once"] and not report[name]["posts with other entities"] for name in chosen.cases)
    )


if __name__ == "__main__":
    sys.exit(main())
