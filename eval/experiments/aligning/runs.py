"""Runs of the experiment: configs, data, and one fine-tuning with its measurements."""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from eval.experiments.aligning.scores import (
    SCORES,
    loaded_and_merged,
    pointing_by_probe,
    read_scores,
    tagged,
    write_scores,
)
from instruct_mner.data.dataset import Dataset
from instruct_mner.data.loading import load_split
from instruct_mner.experiment.arms import merged
from instruct_mner.files import replacing
from instruct_mner.models.locations import locate
from instruct_mner.quickstart.demo import synthesis_of
from instruct_mner.synthetic.label_sets import HELD_OUT
from instruct_mner.synthetic.posts import SyntheticPost, posts
from instruct_mner.synthetic.vocabulary import Split
from instruct_mner.synthetic.write import synth
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.gradient_share import METRIC


@dataclass(frozen=True)
class Task:
    """One fine-tuning and its taggings.

    Attributes:
        arm: Name of the arm.
        changes: Settings that override those of all arms.
        seed: Seed of data order and initial weights.
        num_posts: Number of training posts.
        base: Name or folder of the base model.
        split: Split to tag: ``dev`` or ``test``.
        folder: Folder of its scores.
        measured: Number of posts that are tagged by source of the pictures, and settings of the probe.
    """

    arm: str
    changes: Mapping[str, Any]
    seed: int
    num_posts: int
    base: str
    split: str
    folder: Path
    measured: Mapping[str, Any]


def make_data(settings: Mapping[str, Any], folder: Path) -> None:
    """Write the posts of all splits, and the beginnings of ``train`` that groups of runs are trained on."""
    sizes = settings["posts"]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        # Several processes may begin at once; the second finds what the first has made.
        fcntl.flock(lock, fcntl.LOCK_EX)
        splits: tuple[Split, ...] = ("train", "dev", "test")
        for split in splits:
            if not (folder / f"{split}.jsonl").is_file():
                synth(folder, synthesis_of(split), sizes[split], seed=0)
    lines = (folder / "train.jsonl").read_text(encoding="utf-8").split("\n")
    for number in {group["posts"] for group in (*settings["groups"].values(), settings["tuning"])}:
        with replacing(folder / f"train-{number}.jsonl") as file:
            file.write("\n".join(lines[:number]) + "\n")


def made_posts(settings: Mapping[str, Any], split: Split) -> list[SyntheticPost]:
    """Return the posts of a split with everything that is known of them."""
    return list(itertools.islice(posts(synthesis_of(split), 0), settings["posts"][split]))


def tasks(settings: Mapping[str, Any], output: Path, names: Sequence[str]) -> list[Task]:
    """Return the runs of some groups, seed by seed, so that finished runs can be compared at any time."""
    chosen = []
    for name in names:
        group = settings["groups"][name]
        base = group.get("base", settings["config"]["model"])
        arms = settings["arms"] if group["arms"] == "all" else group["arms"]
        for seed, arm in itertools.product(range(group["seeds"]), arms):
            own = settings["arms"][arm]
            if seed < own.get("seeds", group["seeds"]):
                changes = merged(group.get("config", {}), {key: value for key, value in own.items() if key != "seeds"})
                folder = output / name / f"{arm}-{seed}"
                measured = measured_of(settings, group)
                chosen.append(Task(arm, changes, seed, group["posts"], base, "test", folder, measured))
    return chosen


def measured_of(settings: Mapping[str, Any], group: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is measured after each run of a group."""
    return merged(settings["measured"], group.get("measured", {}))


def config_of(task: Task, settings: Mapping[str, Any], data: Path) -> FinetuneConfig:
    """Return the config of a run. There is no dev: all arms train for the same time, and the last weights are kept."""
    config = {
        **settings["config"],
        "model": task.base,
        "data": {"train": str(data / f"train-{task.num_posts}.jsonl")},
        "labels": HELD_OUT.label_set(definitions=True).model_dump(),
        "seed": task.seed,
        "output": str(task.folder / "run"),
    }
    return FinetuneConfig.model_validate(merged(config, task.changes))


def num_forwards(config: FinetuneConfig) -> float:
    """Return the forwards of the decoder for a post: its own, that of the bare post, that of a generated picture."""
    each = config.alignment
    bare = any(one is not None for one in (each.cross_view, each.information_bottleneck, each.generative))
    generated = 0.0 if each.generative is None else each.generative.generated_share
    return 1 + float(bare) + generated


def base_stamp(base: str) -> str:
    """Return the first 12 digits of the sha256 of the base weights."""
    return hashlib.sha256((Path(locate(base)) / "model.safetensors").read_bytes()).hexdigest()[:12]


def run(task: Task, settings: Mapping[str, Any], data: Path) -> dict[str, Any]:
    """Train, tag and probe one arm with one seed, and write its scores; those of a finished run are read.

    A stopped run continues at its last checkpoint. Weights are not kept.
    """
    from instruct_mner.training.finetune import finetune

    path = task.folder / SCORES
    if path.is_file():
        return read_scores(path)
    config = config_of(task, settings, data)
    begin, of_processor = time.perf_counter(), time.process_time()
    folder = finetune(config, Console(quiet=True), resume=config.output.exists())
    scores: dict[str, Any] = {
        "base": base_stamp(task.base),
        "forwards": num_forwards(config),
        "seconds": round(time.perf_counter() - begin, 1),
        "processor_seconds": round(time.process_time() - of_processor, 1),
        "training": _last_metrics(folder / "metrics.jsonl"),
        "gradient_shares": _gradient_shares(folder / "metrics.jsonl"),
    }
    dataset = load_split(str(data / f"{task.split}.jsonl"))
    loaded, manifest, prompt = loaded_and_merged(folder)
    for source, number in task.measured["sources"].items():
        if source == "generated" and config.alignment.generative is None:
            continue
        if config.data.image_source == "none" and source != "none":
            continue
        some = Dataset(**{**vars(dataset), "examples": dataset.examples[:number]})
        scores[source] = tagged(loaded, manifest, prompt, some, source, folder)
    if task.measured.get("probe"):
        scores["probe"] = pointing_by_probe(loaded, config, data, task.split, **task.measured["probe"])
    scores["all_seconds"] = round(time.perf_counter() - begin, 1)
    write_scores(path, scores)
    shutil.rmtree(folder)
    return scores


def _last_metrics(path: Path) -> dict[str, float]:
    """Return the means of the metrics over the last tenth of the steps."""
    lines = _steps(path)
    last = lines[-max(1, len(lines) // 10) :]
    names = {name for line in last for name in line if name == "answer_loss" or "/" in name or name == "loss"}
    values_by_name = {name: [line[name] for line in last if name in line] for name in sorted(names)}
    return {name: round(sum(values) / len(values), 5) for name, values in values_by_name.items()}


def _gradient_shares(path: Path) -> dict[str, dict[int, float]]:
    """Return the gradient of each objective on LoRA over the answer's, by the step that it was measured at."""
    shares: dict[str, dict[int, float]] = {}
    for line in _steps(path):
        for name, value in line.items():
            objective, _, metric = name.rpartition("/")
            if metric == METRIC:
                shares.setdefault(objective, {})[line["step"]] = round(value, 5)
    return shares


def _steps(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return [line for line in lines if "loss" in line]
