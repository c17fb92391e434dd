"""Starter on Twitter-2015 and 2017: text, text and caption, with and without ``cross_view``.

    python -m eval.experiments.twitter_context --output DIR            all runs; a stopped run continues
    python -m eval.experiments.twitter_context --output DIR --table    table of the finished runs

Each run writes ``DIR/SET/ARM-SEED.json``: for every mention of the test posts whether its span and type are predicted,
with the caption of the training, and without any (``bare``).
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console

from eval.experiments.aligning.report import cell
from eval.experiments.aligning.scores import f1, loaded_and_merged, tagged
from eval.experiments.aligning.statistics import compare, recalls
from instruct_mner.console import quiet_libraries
from instruct_mner.data.captions import read_captions
from instruct_mner.data.jsonl import write_jsonl
from instruct_mner.data.loading import load_split
from instruct_mner.experiment.arms import merged
from instruct_mner.files import replacing
from instruct_mner.schema.records import Context, Example
from instruct_mner.training.config import FinetuneConfig

SETTINGS = Path(__file__).with_name("twitter-context.yaml")
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder of data, scores and table")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the published sets")
    parser.add_argument("--sets", nargs="*", help="sets to run; default all")
    parser.add_argument("--arms", nargs="*", help="arms to run; default all")
    parser.add_argument("--seeds", nargs="*", type=int, help="seeds to run; default those of the settings")
    parser.add_argument("--posts", nargs=2, type=int, metavar=("TRAIN", "TEST"), help="other numbers of posts")
    parser.add_argument("--table", action="store_true", help="write the table and run nothing")
    given = parser.parse_args()
    settings = yaml.safe_load(SETTINGS.read_text(encoding="utf-8"))
    if given.posts:
        settings["posts"] = dict(zip(("train", "test"), given.posts, strict=True))
    quiet_libraries()
    for name in given.sets or settings["sets"]:
        if given.table:
            break
        make_data(settings, name, given.data, given.output / name)
        for seed in given.seeds if given.seeds is not None else range(settings["seeds"]):
            for arm in given.arms or settings["arms"]:
                scores = run(settings, name, arm, seed, given.output / name)
                print(f"{name} {arm} {seed}: {scores['seconds']:.0f} s, F1 {f1(scores['shown']):.4f}", flush=True)
    with replacing(given.output / "twitter-context.md") as file:
        file.write(table(settings, given.output))


def make_data(settings: Mapping[str, Any], name: str, data: Path, folder: Path) -> None:
    """Write the posts with their captions, with those of others, and without."""
    captions = read_captions(data / "captions" / settings["sets"][name]["captions"])
    for split, number in settings["posts"].items():
        posts = load_split(f"conll:{data / name / f'{split}.txt'}", missing_image="text").examples
        known = [post for post in posts if f"{post.id}.jpg" in captions][:number]
        own = [captions[f"{post.id}.jpg"] for post in known]
        # One step around a shuffled circle: no post keeps its own.
        circle = random.Random(0).sample(range(len(own)), len(own))  # noqa: S311
        other = dict(zip(circle, circle[1:] + circle[:1], strict=True))
        shuffled = [own[other[index]] for index in range(len(own))]
        captions_of: dict[str, Sequence[str | None]] = {"own": own, "shuffled": shuffled, "none": [None] * len(own)}
        for which, lines in captions_of.items():
            path = folder / f"{split}-{which}.jsonl"
            if not path.is_file():
                write_jsonl(path, [_saying(post, line) for post, line in zip(known, lines, strict=True)])


def _saying(post: Example, caption: str | None) -> Example:
    return post.without_images().model_copy(update={"context": caption and Context(caption=caption)})


def run(settings: Mapping[str, Any], name: str, arm: str, seed: int, folder: Path) -> dict[str, Any]:
    """Train and tag one arm with one seed; the scores of a finished run are read."""
    from instruct_mner.training.finetune import finetune

    path = folder / f"{arm}-{seed}.json"
    if path.is_file():
        run_scores: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return run_scores
    config = config_of(settings, name, arm, seed, folder)
    begin = time.perf_counter()
    run_folder = finetune(config, Console(quiet=True), resume=config.output.exists())
    loaded, manifest, prompt = loaded_and_merged(run_folder)
    captions = settings["arms"][arm]["captions"] or "none"
    test = load_split(str(folder / f"test-{captions}.jsonl"))
    scores: dict[str, Any] = {"shown": tagged(loaded, manifest, prompt, test, "none", run_folder)}
    if manifest.context:
        bare = manifest.model_copy(update={"context": False})
        scores["bare"] = tagged(loaded, bare, prompt, test, "none", run_folder)
    scores["seconds"] = round(time.perf_counter() - begin, 1)
    with replacing(path) as file:
        json.dump(scores, file)
    shutil.rmtree(run_folder)
    return scores


def config_of(settings: Mapping[str, Any], name: str, arm: str, seed: int, folder: Path) -> FinetuneConfig:
    """Return the config of a run."""
    own = settings["arms"][arm]
    config = {
        **settings["config"],
        "data": {
            "train": str(folder / f"train-{own['captions'] or 'none'}.jsonl"),
            # Posts that stand in test too are left out.
            "evaluate_on": [str(folder / "test-none.jsonl")],
            "leaks": "drop",
        },
        # Words that the starter knows types by.
        "labels": {"PER": "person", "LOC": "place", "ORG": "group", settings["sets"][name]["other"]: "thing"},
        "context": own["captions"] is not None,
        "seed": seed,
        "output": str(folder / f"{arm}-{seed}"),
    }
    return FinetuneConfig.model_validate(merged(config, own.get("change", {})))


def table(settings: Mapping[str, Any], output: Path) -> str:
    """Return the Markdown table of all finished runs."""
    sizes = settings["posts"]
    lines = [
        "# Words about the picture, on real posts: the starter model on Twitter-2015 and 2017", "",
        "`python -m eval.experiments.twitter_context --output DIR`. LoRA on the first "
        f"{sizes['train']} posts of train that have a caption (BLIP-2's), tested on the first "
        f"{sizes['test']} such posts of test; strict micro F1, mean ± standard deviation over the seeds. "
        "The starter is a model of 6 million weights that has never seen a real post: what counts is the differences. "
        "*bare*: the same model, shown no caption.",
    ]  # fmt: skip
    for name in settings["sets"]:
        runs: dict[str, dict[int, Any]] = {}
        for path in sorted((output / name).glob("*-*.json")):
            arm, _, seed = path.stem.rpartition("-")
            runs.setdefault(arm, {})[int(seed)] = json.loads(path.read_text(encoding="utf-8"))
        if runs:
            lines += ["", f"## {name}", ""]
            lines += ["| arm | seeds | F1 | F1, bare | spans found |", "|---|---|---|---|---|"]
            lines += [_row(arm, list(runs[arm].values())) for arm in settings["arms"] if arm in runs]
            lines += ["", *_comparisons(settings, runs)]
    return "\n".join(lines) + "\n"


def _row(arm: str, runs: Sequence[Mapping[str, Any]]) -> str:
    trained, bare = ([f1(run[which]) for run in runs if which in run] for which in ("shown", "bare"))
    spans = [np.mean([each for row in run["shown"]["spans"] for each in row]) for run in runs]
    return f"| {arm} | {len(runs)} | {cell(trained)} | {cell(bare)} | {cell(spans)} |"


def _comparisons(settings: Mapping[str, Any], runs: Mapping[str, Mapping[int, Any]]) -> list[str]:
    lines = [
        "Points of mentions found with the right span and type, hierarchical bootstrap over seeds and posts, p without "
        "adjustment.", "",
        "| arm | against | shown | seeds | difference | 95 % | p |", "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for each in settings["comparisons"]:
        mine, control = runs.get(each["arm"], {}), runs.get(each["control"], {})
        seeds = sorted(set(mine) & set(control))
        if seeds:
            which = "bare" if each.get("bare") else "shown"
            arm, base = ([_counts(of[seed], which) for seed in seeds] for of in (mine, control))
            mean, low, high, p = compare(arm, base, **settings["bootstrap"])
            lines.append(
                f"| {each['arm']} | {each['control']} | {'the post alone' if each.get('bare') else 'as trained'} | "
                f"{len(seeds)} | {100 * mean:+.1f} | {100 * low:+.1f} to {100 * high:+.1f} | {p:.4f} |"
            )
    return lines


def _counts(run: Mapping[str, Any], which: str) -> Any:
    scores = run.get(which, run["shown"])
    return recalls(scores, [[True] * len(row) for row in scores["right"]])


if __name__ == "__main__":
    main()
