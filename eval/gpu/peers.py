"""Fine-tuning by the peers on the machine that is checked, by the clock on the wall."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from eval.benchmarks.peers import PEERS, Job, Peer, write_data
from instruct_mner.data.loading import load_split

Run = Callable[..., object]


def installed_peers(environments: Path | None) -> dict[str, Path]:
    """Return the environments of the peers that are there, as ``eval.benchmarks.peers`` makes them.

    Args:
        environments: Their folder; ``None`` where there is none.
    """
    if environments is None:
        return {}
    own = {name: environments / name for name, peer in PEERS.items() if peer.requirements}
    return {name: folder for name, folder in own.items() if (folder / "made").exists()}


def peer_speeds(
    run: Run, name: str, environment: Path, model: Path, posts: Path, folder: Path, batch_size: int, *, gpu: bool
) -> dict[str, float | None]:
    """Return posts a second of a peer: with what it sets by itself, and without recomputed activations.

    It runs over a part of the posts and over all, and posts and seconds are subtracted, so that loading does not count;
    ``None`` where the posts took less than a tenth of the loading, so that nothing can be told.

    Args:
        run: Runs a command with environment variables (``env``), and raises where it fails.
        name: Name of the peer.
        environment: Folder of its environment.
        model: Folder of the base model.
        posts: File of the posts.
        folder: Folder of what it reads and writes.
        batch_size: Number of posts in a step.
        gpu: True on a GPU.
    """
    peer = PEERS[name]
    dataset = load_split(str(posts))
    numbers = (batch_size, len(dataset.examples))
    for number in numbers:
        write_data(dataset, model, folder / str(number), number)
    speeds: dict[str, float | None] = {}
    for recompute in (True, False):
        seconds = []
        for number in numbers:
            job = Job(model, folder / str(number), number, 1, batch_size, recompute=recompute, gpu=gpu)
            seconds.append(_seconds(run, peer, environment, job))
        title = "as it is" if recompute else "without recomputed activations"
        longer = seconds[1] - seconds[0]
        speeds[title] = round((numbers[1] - numbers[0]) / longer, 3) if longer > seconds[0] / 10 else None
    return speeds


def _seconds(run: Run, peer: Peer, environment: Path, job: Job) -> float:
    program, *arguments = peer.command(job)
    begin = time.perf_counter()
    run([environment / program, *arguments], env={**os.environ, "HF_HUB_OFFLINE": "1", **peer.environment})
    return time.perf_counter() - begin
