"""Fine-tuning against LLaMA-Factory, ms-swift and TRL alone: posts per second of processor time, on one core.

    python -m eval.benchmarks.peers ENVIRONMENTS --output eval/results/peers.json
    python -m eval.benchmarks.peers ENVIRONMENTS --shape smolvlm_256m --batch 1 --posts 2 --few 1 --peers ours trl

Each peer gets an environment of its own below ENVIRONMENTS, which is made where it is absent (some gigabytes), with the
versions that stand in ``PEERS``. All train the same LoRA on the same posts with pictures, the same chats and the same
weights, which are random: Qwen2.5-VL's architecture at a small size, or SmolVLM-256M's whole shape, in bfloat16 as they
are published. What a program sets by itself is left as it is; each peer runs a second time without recomputed
activations, which all of them set by default.

Programs are timed by the clock of the processor, with all their children. Each runs over few posts and over all, for
as many epochs; posts and seconds are subtracted, so that imports and loading do not count.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml

from eval.benchmarks.bench_alignment import smolvlm_256m
from eval.benchmarks.report_file import print_report
from eval.gates.bare_trl import bare_losses
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.data.dataset import Dataset
from instruct_mner.data.jsonl import write_jsonl
from instruct_mner.data.loading import load_split
from instruct_mner.models.description import describe_model
from instruct_mner.prompting.templates import find_prompt
from instruct_mner.schema.labels import LabelSet
from instruct_mner.synthetic.settings import Synthesis
from instruct_mner.synthetic.write import synth
from instruct_mner.training.conversation import Conversations

_FAMILY, _PROMPT, _LABELS = "qwen2_5_vl", "tag", ("PER", "LOC", "ORG", "MISC")
_RANK, _ALPHA, _DROPOUT, _RATE = 16, 32, 0.05, 2e-4
_TORCH = ("torch==2.13.0", "torchvision==0.28.0", "torchaudio==2.11.0")


@dataclass(frozen=True)
class Job:
    """Fine-tuning of one model on one set of posts.

    Attributes:
        model: Folder of the base model.
        folder: Folder with ``posts.jsonl`` and what the peers read.
        num_posts: Number of posts.
        epochs: Number of epochs.
        batch_size: Number of posts in a step.
        recompute: True where a peer recomputes activations, as it does by default.
        gpu: True on a GPU.
    """

    model: Path
    folder: Path
    num_posts: int
    epochs: int
    batch_size: int
    recompute: bool = True
    gpu: bool = False


@dataclass(frozen=True)
class Peer:
    """Program that fine-tunes.

    Attributes:
        title: Name and version.
        requirements: Packages of its environment; none for the environment of this program.
        command: Function that writes what the program reads, and returns its command without the environment's folder.
        environment: Environment variables.
        recomputes: True where it recomputes activations by default.
    """

    title: str
    requirements: Sequence[str]
    command: Callable[[Job], list[str]]
    environment: Mapping[str, str] = field(default_factory=dict)
    recomputes: bool = True


def ours(job: Job) -> list[str]:
    """Return the command of `instruct-mner finetune` with its defaults."""
    config = {
        "model": str(job.model),
        "prompt": _PROMPT,
        "data": {"train": str(job.folder / "posts.jsonl")},
        "labels": list(_LABELS),
        "answer": {"grounded": False},
        "lora": {"rank": _RANK, "alpha": _ALPHA, "dropout": _DROPOUT},
        "optimizer": {"epochs": job.epochs, "batch_size": job.batch_size, "learning_rate": _RATE},
        "output": str(job.folder / "ours"),
    }
    shutil.rmtree(job.folder / "ours", ignore_errors=True)
    (job.folder / "ours.yaml").write_text(yaml.safe_dump(config))
    return [sys.executable, "-m", "instruct_mner", "finetune", str(job.folder / "ours.yaml")]


def bare_trl(job: Job) -> list[str]:
    """Return the command of TRL's trainer alone."""
    numbers = (str(job.epochs), str(job.batch_size), str(int(job.recompute)))
    return [sys.executable, "-m", "eval.benchmarks.peers", str(job.folder), "--bare", str(job.model), *numbers]


def llama_factory(job: Job) -> list[str]:
    """Return the command of LLaMA-Factory."""
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    columns = {"messages": "messages", "images": "images"}
    entry = {"file_name": "chats.json", "formatting": "sharegpt", "columns": columns, "tags": tags}
    (job.folder / "dataset_info.json").write_text(json.dumps({"posts": entry}))
    config = {
        "stage": "sft", "do_train": True, "model_name_or_path": str(job.model), "template": "qwen2_vl",
        "default_system": "", "finetuning_type": "lora", "lora_target": "all", "lora_rank": _RANK,
        "lora_alpha": _ALPHA, "lora_dropout": _DROPOUT, "dataset": "posts", "dataset_dir": str(job.folder),
        "cutoff_len": 4096, "output_dir": str(job.folder / "factory"), "overwrite_output_dir": True,
        "per_device_train_batch_size": job.batch_size, "gradient_accumulation_steps": 1, "learning_rate": _RATE,
        "num_train_epochs": job.epochs, "lr_scheduler_type": "cosine", "save_strategy": "no", "report_to": "none",
        "overwrite_cache": True, "disable_gradient_checkpointing": not job.recompute,
        # As in all of its recipes; what it takes without is float32.
        "bf16": True, "use_cpu": not job.gpu,
    }  # fmt: skip
    (job.folder / "factory.yaml").write_text(yaml.safe_dump(config))
    return ["bin/llamafactory-cli", "train", str(job.folder / "factory.yaml")]


def ms_swift(job: Job) -> list[str]:
    """Return the command of ms-swift."""
    options = {
        "model": job.model, "model_type": _FAMILY, "template": _FAMILY, "tuner_type": "lora",
        "dataset": job.folder / "chats.jsonl",
        "system": "", "target_modules": "all-linear", "use_cpu": str(not job.gpu).lower(),
        "lora_rank": _RANK, "lora_alpha": _ALPHA, "lora_dropout": _DROPOUT, "num_train_epochs": job.epochs,
        "split_dataset_ratio": 0, "per_device_train_batch_size": job.batch_size, "gradient_accumulation_steps": 1,
        "learning_rate": _RATE, "save_strategy": "no", "output_dir": job.folder / "swift", "report_to": "none",
        "max_length": 4096, "gradient_checkpointing": str(job.recompute).lower(),
    }  # fmt: skip
    return ["bin/swift", "sft", *(part for key, value in options.items() for part in (f"--{key}", str(value)))]


PEERS = {
    "ours": Peer("instruct-mner", (), ours, recomputes=False),
    "trl": Peer("TRL alone", (), bare_trl),
    "factory": Peer("LLaMA-Factory 0.9.5", ("llamafactory==0.9.5", *_TORCH), llama_factory),
    # `qwen-vl-utils` opens pictures for ms-swift, within these bounds.
    "swift": Peer(
        "ms-swift 4.6.0", ("ms-swift==4.6.0", "qwen-vl-utils", *_TORCH[:2]), ms_swift, {"MAX_PIXELS": "262144"}
    ),
}


def make_environment(peer: Peer, folder: Path) -> Path:
    """Return the folder of a peer's environment, made where it is absent."""
    if not peer.requirements:
        return folder
    if not (folder / "made").exists():
        # By uv, as `make setup` does: pip may take torch from one place and torchvision from another, which do not fit.
        python = str(folder / "bin" / "python")
        for command in (["venv", "--clear", str(folder)], ["pip", "install", "--python", python, *peer.requirements]):
            subprocess.run([sys.executable, "-m", "uv", *command, "--quiet"], check=True)  # noqa: S603
        (folder / "made").touch()
    return folder


def build_qwen(folder: Path, texts: Sequence[str]) -> Path:
    """Make a model of Qwen2.5-VL's architecture with random weights, 26 million of them.

    Args:
        folder: Folder of the output.
        texts: Texts that the vocabulary is trained on.
    """
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, set_seed

    from instruct_mner.testing import build_tiny

    build_tiny(_FAMILY, folder, texts=texts, vocabulary=8000, width=384, layers=8)
    set_seed(0)
    config = Qwen2_5_VLConfig.from_pretrained(folder)
    config.vision_config.update(
        {"depth": 8, "hidden_size": 320, "intermediate_size": 864, "num_heads": 4, "window_size": 112,
         "fullatt_block_indexes": [3, 7]}
    )  # fmt: skip
    # The published ones are in bfloat16 too.
    Qwen2_5_VLForConditionalGeneration(config).to(torch.bfloat16).save_pretrained(folder)
    path = next(path for path in folder.glob("*processor_config.json") if "shortest_edge" in path.read_text())
    path.write_text(path.read_text().replace("16384", "262144"))
    return folder


def conversations(model: Path) -> Conversations:
    """Return the writer of the chats that all train on."""
    return Conversations(
        prompt=find_prompt(_PROMPT),
        spec=AnswerSpec(labels=LabelSet.of(_LABELS)),
        description=describe_model(str(model)),
        max_images=1,
    )


def build_smolvlm(folder: Path, texts: Sequence[str]) -> Path:
    """Make a model of SmolVLM-256M's shape with random weights; a picture has 13 tiles, 832 tokens."""
    return Path(smolvlm_256m(folder, 12, torch.bfloat16))


SHAPES = {"qwen2_5_vl": build_qwen, "smolvlm_256m": build_smolvlm}


def write_data(dataset: Dataset, model: Path, folder: Path, num_posts: int) -> None:
    """Write posts for this program, and their chats for the others."""
    folder.mkdir(parents=True, exist_ok=True)
    examples = list(dataset.examples)[:num_posts]
    paths = [[str(path.resolve()) for path in dataset.picture_paths(each)] for each in examples]
    absolute = [each.model_copy(update={"images": tuple(own)}) for each, own in zip(examples, paths, strict=True)]
    write_jsonl(folder / "posts.jsonl", absolute)
    writer, chats = conversations(model), []
    for example, own in zip(examples, paths, strict=True):
        row = writer.row(example, [Path(path) for path in own])
        whole = [*row["prompt"], *row["completion"]]
        messages = [{"role": each["role"], "content": _flat(each["content"])} for each in whole]
        chats.append({"messages": messages, "images": own})
    (folder / "chats.json").write_text(json.dumps(chats))
    (folder / "chats.jsonl").write_text("".join(json.dumps(chat) + "\n" for chat in chats))


def _flat(content: Any) -> str:
    """Return a message's content as the peers read it: a picture is ``<image>``."""
    if isinstance(content, str):
        return content
    return "".join("<image>" if part["type"] == "image" else part["text"] for part in content)


def run_bare(folder: Path, model: Path, epochs: int, batch_size: int, recompute: int) -> None:
    """Train by TRL's trainer alone, with what it sets by itself, on the posts of a folder."""
    dataset, writer = load_split(str(folder / "posts.jsonl")), conversations(model)
    pattern = writer.description.family.lora_pattern
    rows = [dict(writer.row(each, dataset.picture_paths(each))) for each in dataset.examples]
    bare_losses(
        model, rows, target_modules=pattern, batch_size=batch_size, rank=_RANK, alpha=_ALPHA,
        dropout=_DROPOUT, learning_rate=_RATE, num_steps=epochs * -(-len(rows) // batch_size),
        bfloat16=True, recompute=bool(recompute),
    )  # fmt: skip


def seconds_of(command: Sequence[str], variables: Mapping[str, str], log: Path) -> float:
    """Run a program, and return the seconds of the processor of it and its children."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", **variables}
    begin = resource.getrusage(resource.RUSAGE_CHILDREN)
    with log.open("w") as stream:
        done = subprocess.run(command, check=False, env=environment, stdout=stream, stderr=subprocess.STDOUT)  # noqa: S603  # noqa: S603
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:3])} fails: {log}\n{log.read_text()[-2000:]}")
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    return end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime


def measure(name: str, environments: Path, jobs: tuple[Job, Job]) -> dict[str, float]:
    """Return a peer's posts per second of the processor, and its seconds before the first step, by way of running."""
    peer = PEERS[name]
    environment = make_environment(peer, environments / name)
    speeds: dict[str, float] = {}
    for recompute in (True, False) if peer.recomputes else (False,):
        few, many = (Job(**{**vars(job), "recompute": recompute}) for job in jobs)
        seconds = []
        for job in (few, many):
            command = peer.command(job)
            program = [str(environment / command[0]) if peer.requirements else command[0], *command[1:]]
            seconds.append(seconds_of(program, peer.environment, job.folder / f"{name}.log"))
        posts = many.epochs * (many.num_posts - few.num_posts)
        speed = float(f"{posts / (seconds[1] - seconds[0]):.3g}")
        speeds["as it is" if recompute == peer.recomputes else "without recomputed activations"] = speed
        print(f"{peer.title}: {seconds[0]:.0f} s and {seconds[1]:.0f} s, {speeds}", file=sys.stderr, flush=True)
    return speeds


def main() -> int:
    """Measure all peers, and print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environments", type=Path, help="folder of the environments, models and posts")
    parser.add_argument("--shape", default="qwen2_5_vl", choices=list(SHAPES), help="model; default qwen2_5_vl")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS), help="peers; default all")
    parser.add_argument("--posts", type=int, default=96, help="posts of the long run; default 96")
    parser.add_argument("--few", type=int, default=16, help="posts of the short run; default 16")
    parser.add_argument("--batch", type=int, default=8, help="posts in a step; default 8")
    parser.add_argument("--epochs", type=int, default=3, help="epochs; default 3")
    parser.add_argument("--output", type=Path, help="file of the report")
    parser.add_argument("--bare", nargs=4, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.bare:
        run_bare(chosen.environments, Path(chosen.bare[0]), *map(int, chosen.bare[1:]))
        return 0
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    root: Path = chosen.environments.resolve()
    posts = root / "synthetic" / "train.jsonl"
    if not posts.exists():
        synth(posts.parent, Synthesis(split="train"), chosen.posts, 0)
    dataset = load_split(str(posts))
    model = SHAPES[chosen.shape](
        root / chosen.shape, [find_prompt(_PROMPT).source, *(each.text for each in dataset.examples)]
    )
    jobs = tuple(
        Job(model, root / f"{chosen.shape}-{num}", num, chosen.epochs, chosen.batch)
        for num in (chosen.few, chosen.posts)
    )
    for job in jobs:
        write_data(dataset, model, job.folder, job.num_posts)
    speeds = {name: measure(name, root, (jobs[0], jobs[1])) for name in chosen.peers}
    own = max(speeds.get("ours", {"": float("nan")}).values())
    report = {
        "shape": chosen.shape,
        "posts per second of the processor": {PEERS[name].title: each for name, each in speeds.items()},
        "instruct-mner over it, as it is": {
            PEERS[name].title: round(own / each["as it is"], 2) for name, each in speeds.items()
        },
        "instruct-mner over the faster of both": {
            PEERS[name].title: round(own / max(each.values()), 2) for name, each in speeds.items()
        },
        "posts": chosen.posts,
        "epochs": chosen.epochs,
        "posts in a step": chosen.batch,
    }
    print_report(report, chosen.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
