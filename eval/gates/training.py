"""Gates of training: memorising from random weights, and equality with bare TRL."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from eval.gates.bare_trl import bare_losses
from eval.gates.common import Result, run_program, run_program_json, shared_data
from instruct_mner.answers import codec
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.data.bio import decode_spans, join_tokens
from instruct_mner.data.jsonl import write_jsonl
from instruct_mner.data.loading import load_split
from instruct_mner.images import open_image
from instruct_mner.models.families import FAMILIES
from instruct_mner.prompting.conversation import user_messages
from instruct_mner.prompting.templates import find_prompt, shown_text
from instruct_mner.quickstart.example_posts import write_dozen
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Example

_FAMILIES = ("qwen3_vl", "idefics3")
_THREADS = 1
_STEPS = 20


def memorise() -> Result:
    """Train tiny random models on 25 real tweets with pictures by `finetune`, `tag` and `evaluate`."""
    pictures = shared_data("images")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        posts = folder / "posts.jsonl"
        write_jsonl(posts, _real_tweets(pictures))
        value = {family: _learnt_by_heart(family, folder, posts, pictures) for family in _FAMILIES}
    return Result(value=value, bound="strict F1 of at least 95 each", passed=min(value.values()) >= 95)


def _real_tweets(folder: Path) -> list[Example]:
    """Return the 25 tweets; tokens joined by a space, tolerant decoding."""
    examples = []
    for line in (folder / "index.jsonl").read_text(encoding="utf-8").splitlines():
        tweet = json.loads(line)
        text, entities = join_tokens(tweet["tokens"], decode_spans(tweet["labels"]))
        examples.append(Example(id=tweet["id"], text=text, images=(tweet["image"],), entities=tuple(entities)))
    return examples


def _learnt_by_heart(family: str, folder: Path, posts: Path, pictures: Path) -> float:
    """Return F1 in percent on the training posts."""
    data = {"train": str(posts), "dev": str(posts), "images": str(pictures)}
    config = _config(
        model=_tiny(family, folder / f"{family}-base", [posts.read_text(encoding="utf-8")]),
        data=data,
        optimizer={"epochs": 40, "batch_size": 5, "learning_rate": 1e-3, "warmup_steps": 10},
        evaluation={"every_steps": 50},
        output=folder / family,
    )
    arguments = ("--images", str(pictures))
    scores = _finetune_tag_evaluate(config, folder / family, str(posts), arguments)
    return 100 * float(scores["micro"]["f1"])


def _tiny(family: str, folder: Path, texts: Sequence[str]) -> str:
    """Return the folder of a tiny model whose tokenizer knows the texts and the template."""
    from transformers.utils.logging import disable_progress_bar

    from instruct_mner.testing import build_tiny

    disable_progress_bar()
    instruction = find_prompt("tag").source
    build_tiny(family, folder, texts=[instruction, *texts], vocabulary=1000, width=128, layers=3)
    return str(folder)


def _config(**settings: Any) -> dict[str, Any]:
    return {"tuning": "full", **settings, "output": str(settings["output"])}


def _finetune_tag_evaluate(config: dict[str, Any], run: Path, data: str, arguments: Sequence[str]) -> Any:
    """Run the three verbs one after the other, and return the report of `evaluate`."""
    path, predicted = run.with_suffix(".yaml"), run.with_suffix(".jsonl")
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    run_program("finetune", str(path), threads=_THREADS)
    run_program("tag", data, "--model", str(run), "-o", str(predicted), *arguments, threads=_THREADS)
    return run_program_json("evaluate", data, str(predicted), "--json", "--resamples", "1000", threads=_THREADS)


def bare_trl() -> Result:
    """Compare the losses of `finetune` with a LoRA and of a bare SFTTrainer: the first 20 steps, to the last bit."""
    value: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        posts = write_dozen(folder)
        for family in _FAMILIES:
            model = _tiny(family, folder / f"{family}-base", [posts.read_text(encoding="utf-8")])
            ours = _our_losses(model, posts, folder / family)
            theirs = bare_losses(
                Path(model), _rows(posts), target_modules=FAMILIES[family].lora_pattern, num_steps=_STEPS
            )
            value[family] = {
                "equal steps": sum(one == other for one, other in zip(ours, theirs, strict=True)),
                "first loss": ours[0],
                "last loss": ours[-1],
            }
    return Result(
        value=value,
        bound=f"{_STEPS} equal steps each",
        passed=all(each["equal steps"] == _STEPS for each in value.values()),
    )


def _our_losses(model: str, posts: Path, run: Path) -> list[float]:
    exact = {"share_prompt_prefix": False, "group_by_length": False}
    optimizer = {"max_steps": _STEPS, "batch_size": 4, "learning_rate": 2e-4, **exact}
    config = {
        **_config(model=model, data={"train": str(posts)}, optimizer=optimizer, output=run),
        "tuning": "lora",
    }
    path = run.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    # As many threads as this process has: sums over other parts are rounded otherwise.
    import torch

    run_program("finetune", str(path), threads=torch.get_num_threads())
    lines = map(json.loads, (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [line["loss"] for line in lines if "loss" in line]


def _rows(posts: Path) -> list[dict[str, Any]]:
    """Return the posts in TRL's form."""
    dataset = load_split(str(posts))
    labels = sorted({entity.label for example in dataset.examples for entity in example.gold})
    spec, prompt = AnswerSpec(labels=LabelSet.of(labels)), find_prompt("tag")
    rows = []
    for example in dataset.examples:
        text = shown_text(example.text)
        images = [open_image(path) for path in dataset.picture_paths(example)]
        answer = [{"type": "text", "text": codec.render(spec, text, example.gold)}]
        rows.append(
            {
                "prompt": user_messages(prompt, spec, text, len(images)),
                "completion": [{"role": "assistant", "content": answer}],
                "images": images,
            }
        )
    return rows
