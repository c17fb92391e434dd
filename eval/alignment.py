"""Runs the experiment of ``alignment.yaml``, and writes its table.

    python eval/alignment.py --output DIR                        all arms and seeds; a stopped run goes on
    python eval/alignment.py --output DIR --arms plain all_four --seeds 0 1
    python eval/alignment.py --output DIR --table                the table of what is there

A seed and an arm are one fine-tuning and some taggings of the test posts. Each leaves ``DIR/ARM-SEED/scores.json``:
for every mention whether it was found with the right span and type, and what the training cost.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console

from instruct_mner.data import Dataset, load_split
from instruct_mner.data.pictures import picture_source
from instruct_mner.files import replacing
from instruct_mner.starter.bayes import bound
from instruct_mner.starter.demo import synthesis_of
from instruct_mner.starter.domains import HELD_OUT
from instruct_mner.starter.posts import Post, posts, slice_of
from instruct_mner.starter.synth import synth
from instruct_mner.starter.words import SPLITS

SETTINGS = Path(__file__).with_name("alignment.yaml")
_BATCH = 64


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    settings = yaml.safe_load(SETTINGS.read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--arms", nargs="*", default=list(settings["arms"]), choices=list(settings["arms"]))
    parser.add_argument("--seeds", nargs="*", type=int, default=settings["seeds"])
    parser.add_argument("--table", action="store_true", help="only write the table")
    given = parser.parse_args(arguments)
    sizes = settings["posts"]
    for split in SPLITS:
        if not (given.output / "data" / f"{split}.jsonl").is_file():
            synth(given.output / "data", synthesis_of(split), sizes[split], seed=0)
    made = list(itertools.islice(posts(synthesis_of("test"), 0), sizes["test"]))
    if not given.table:
        dataset = load_split(str(given.output / "data" / "test.jsonl"))
        # Seed by seed, so that what there is can be compared at any time.
        for seed, arm in itertools.product(given.seeds, given.arms):
            run_arm(settings, arm, seed, given.output, dataset)
    with replacing(given.output / "alignment.md") as file:
        file.write(table(settings, given.output, made))


def run_arm(settings: Mapping[str, Any], arm: str, seed: int, output: Path, dataset: Dataset) -> None:
    """Trains one arm with one seed, tags the test posts, and writes what is right."""
    from instruct_mner.tagging import Tagger
    from instruct_mner.training.config import FinetuneConfig
    from instruct_mner.training.finetune import finetune

    folder = output / f"{arm}-{seed}"
    if (folder / "scores.json").is_file():
        return
    config = {
        **settings["config"],
        "data": {split: str(output / "data" / f"{split}.jsonl") for split in ("train", "dev")},
        "labels": HELD_OUT.label_set(definitions=True).model_dump(),
        "seed": seed,
        "output": str(folder / "run"),
    }
    config = FinetuneConfig.model_validate(_merged(config, settings["arms"][arm]))
    begin = time.perf_counter()
    run = finetune(config, Console(quiet=True), resume=(folder / "run").exists())
    seconds = time.perf_counter() - begin
    sources = ["own", "none", "shuffled"]
    scores: dict[str, Any] = {"seconds": round(seconds, 1)}
    if config.alignment.generative is not None:
        sources.append("generated")
    for source in sources:
        tagger = Tagger.from_pretrained(run, batch_size=_BATCH, generated=source == "generated")
        pictures = picture_source(dataset, "none" if source == "generated" else source)  # type: ignore[arg-type]
        found = list(tagger.predict(dataset.examples, pictures))
        scores[source] = {
            "right": [
                [
                    int((e.start, e.end, e.label) in {(p.start, p.end, p.label) for p in each.entities})
                    for e in gold.gold
                ]
                for gold, each in zip(dataset.examples, found, strict=True)
            ],
            "predicted": [len(each.entities) + each.rejected.total for each in found],
        }
    with replacing(folder / "scores.json") as file:
        json.dump(scores, file)
    print(f"{arm} {seed}: {seconds:.0f} s", flush=True)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def masks(made: Sequence[Post]) -> dict[str, list[list[bool]]]:
    """Which mentions of each post belong to a slice."""
    every = {"all": lambda post, mention: True, "unrelated picture": lambda post, mention: not post.related}
    every["ambiguous in text"] = lambda post, mention: mention.affix is None and mention.phrase is None
    for name in ("several, colour", "several, place", "several, letters", "one mention, none"):
        every[name] = lambda post, mention, name=name: slice_of(post, mention) == name
    return {name: [[test(post, each) for each in post.mentions] for post in made] for name, test in every.items()}


def f1(scores: Mapping[str, Any]) -> float:
    """Strict F1."""
    right = sum(map(sum, scores["right"]))
    return 2 * right / (sum(map(len, scores["right"])) + sum(scores["predicted"]))


def recalls(scores: Mapping[str, Any], mask: Sequence[Sequence[bool]]) -> tuple[np.ndarray, np.ndarray]:
    """Right and all mentions of a slice, for each post."""
    right = [
        sum(r for r, m in zip(row, chosen, strict=True) if m) for row, chosen in zip(scores["right"], mask, strict=True)
    ]
    return np.array(right, dtype=float), np.array([sum(chosen) for chosen in mask], dtype=float)


def compare(
    arm: Sequence[tuple[np.ndarray, np.ndarray]],
    control: Sequence[tuple[np.ndarray, np.ndarray]],
    draws: int,
    seed: int,
) -> tuple[float, float, float, float]:
    """Difference of two arms over paired seeds: mean, 95 % interval, two-sided p, by a bootstrap of seeds and posts."""
    rng = np.random.default_rng(seed)
    num_seeds, num_posts = len(arm), len(arm[0][0])
    differences = np.array([a[0] - c[0] for a, c in zip(arm, control, strict=True)])
    count = arm[0][1]
    mean = float(differences.sum(axis=1).mean() / count.sum())
    drawn = np.empty(draws)
    for draw in range(draws):
        chosen, some = rng.integers(num_seeds, size=num_seeds), rng.integers(num_posts, size=num_posts)
        drawn[draw] = differences[chosen][:, some].sum() / num_seeds / max(1.0, count[some].sum())
    low, high = np.quantile(drawn, [0.025, 0.975])
    tail = min(float((drawn <= 0).mean()), float((drawn >= 0).mean()))
    return mean, float(low), float(high), min(1.0, 2 * max(tail, 1 / draws))


def holm(values: Sequence[float]) -> list[float]:
    """P-values adjusted for all comparisons. Source: Holm, 1979."""
    adjusted, largest = [0.0] * len(values), 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min(1.0, (len(values) - rank) * values[index]))
        adjusted[index] = largest
    return adjusted


def table(settings: Mapping[str, Any], output: Path, made: Sequence[Post]) -> str:
    """The table in Markdown, of whatever has been run."""
    found: dict[str, dict[int, Any]] = {}
    for path in sorted(output.glob("*/scores.json")):
        arm, _, seed = path.parent.name.rpartition("-")
        found.setdefault(arm, {})[int(seed)] = json.loads(path.read_text(encoding="utf-8"))
    best = {"own": bound(made).expected, "none": bound(made, with_picture=False).expected}
    lines = [
        "# Alignment objectives: synthetic posts, starter model", "",
        f"`python eval/alignment.py --output DIR`, settings in `alignment.yaml`, {settings['posts']['train']} posts.",
        "The starter was itself built with attention supervision. Mean ± standard deviation over the seeds.",
        f"Best possible, given perfect spans and sight: {100 * best['own']:.1f} with the picture, "
        f"{100 * best['none']:.1f} without.", "",
        "| arm | seeds | F1, picture | F1, none | F1, shuffled | F1, generated | training, s |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for arm in settings["arms"]:
        runs = list(found.get(arm, {}).values())
        if runs:
            cells = [
                _cell([f1(run[source]) for run in runs if source in run])
                for source in ("own", "none", "shuffled", "generated")
            ]
            lines.append(
                f"| {arm} | {len(runs)} | {' | '.join(cells)} | {np.mean([run['seconds'] for run in runs]):.0f} |"
            )
    return "\n".join([*lines, "", *_primary(settings, found, made)]) + "\n"


def _cell(values: Sequence[float]) -> str:
    if not values:
        return ""
    spread = f" ± {100 * np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{100 * np.mean(values):.1f}{spread}"


def _primary(settings: Mapping[str, Any], found: Mapping[str, Mapping[int, Any]], made: Sequence[Post]) -> list[str]:
    """The primary comparisons, each over the seeds that both arms have."""
    slices, rows = masks(made), []
    for each in settings["primary"]:
        mine, control = found.get(each["arm"], {}), found.get(each["control"], {})
        seeds = sorted(set(mine) & set(control))
        if seeds:
            sources = each["pictures"], each.get("control_pictures", each["pictures"])
            mask = slices[each["slice"]]
            pair = [
                [recalls(runs[seed][source], mask) for seed in seeds]
                for runs, source in zip((mine, control), sources, strict=True)
            ]
            rows.append((each, len(seeds), compare(*pair, **settings["bootstrap"])))
    lines = [
        "Primary comparisons: points of mentions found with the right span and type, hierarchical bootstrap over",
        "seeds and posts, Holm over the five.", "",
        "| arm | against | pictures | mentions | seeds | difference | 95 % | p, Holm |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for (each, seeds, (mean, low, high, _)), p in zip(rows, holm([row[2][3] for row in rows]), strict=True):
        lines.append(
            f"| {each['arm']} | {each['control']} | {each['pictures']} | {each['slice']} | {seeds} | "
            f"{100 * mean:+.1f} | {100 * low:+.1f} to {100 * high:+.1f} | {p:.3f} |"
        )
    return lines


if __name__ == "__main__":
    main()
