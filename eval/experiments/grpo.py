"""Reinforcement of the starter's adapters, as ``grpo.yaml`` says.

    python -m eval.experiments.grpo --output DIR              all runs; a stopped one goes on
    python -m eval.experiments.grpo --output DIR --attempts   other settings, on dev, from the adapter of one seed
    python -m eval.experiments.grpo --output DIR --table      the table of what is there

Each run leaves ``DIR/ARM-SEED/`` (the run folder) and its predictions of dev and test beside it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from instruct_mner.data.loading import load_split
from instruct_mner.experiment.arms import merged
from instruct_mner.files import replacing
from instruct_mner.quickstart.demo import synthesis_of
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.scoring.calibration import fit_scaling, judge, measure
from instruct_mner.scoring.counts import Tally
from instruct_mner.scoring.pairing import pair_posts
from instruct_mner.scoring.predictions import read_predictions
from instruct_mner.scoring.seeds import ArmScore, compare_arms
from instruct_mner.scoring.spans import score_spans
from instruct_mner.scoring.triples import score_triples
from instruct_mner.synthetic.label_sets import HELD_OUT
from instruct_mner.synthetic.posterior import bound
from instruct_mner.synthetic.posts import posts
from instruct_mner.synthetic.vocabulary import Split
from instruct_mner.synthetic.write import synth

SETTINGS = Path(__file__).with_name("grpo.yaml")


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--attempts", action="store_true", help="compare settings on dev")
    parser.add_argument("--table", action="store_true", help="only write the table")
    given = parser.parse_args()
    settings = yaml.safe_load(SETTINGS.read_text(encoding="utf-8"))
    make_data(settings, given.output / "data")
    if given.attempts:
        attempts(settings, given.output)
        return
    if not given.table:
        for arm, seed in planned(settings):
            run(settings, arm, seed, given.output)
    with replacing(given.output / "grpo.md") as file:
        file.write(table(settings, given.output))


def planned(settings: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield arm and seed of every run, seed by seed; last the arms with seeds of their own."""
    for ours in (False, True):
        for seed, (arm, own) in itertools.product(settings["seeds"], settings["arms"].items()):
            if ("seeds" in own) is ours and seed in own.get("seeds", settings["seeds"]):
                yield arm, seed


def make_data(settings: Mapping[str, Any], folder: Path) -> None:
    """Write the posts of all splits."""
    splits: tuple[Split, ...] = ("train", "dev", "test")
    for split in splits:
        if not (folder / f"{split}.jsonl").is_file():
            folder.mkdir(parents=True, exist_ok=True)
            synth(folder, synthesis_of(split), settings["posts"][split], seed=0)


def call(*arguments: object) -> None:
    """Run ``instruct-mner``."""
    subprocess.run([sys.executable, "-m", "instruct_mner", *map(str, arguments)], check=True)  # noqa: S603


def config_of(settings: Mapping[str, Any], arm: str, seed: int, output: Path) -> dict[str, Any]:
    """Return the config of a run; a reinforced arm has that of the arm that it goes on from."""
    own = settings["arms"][arm]
    origin = own.get("reinforces", arm)
    config = {
        **settings["config"],
        "data": {"train": str(output / "data" / "train.jsonl")},
        "labels": HELD_OUT.label_set(definitions=True).model_dump(),
        "seed": seed,
        "output": str(output / f"{origin}-{seed}"),
        "reinforcement": settings["reinforcement"],
    }
    if origin != arm:
        config["reinforcement"] = {**config["reinforcement"], "output": str(output / f"{arm}-{seed}")}
    for name in dict.fromkeys((origin, arm)):
        config = merged(config, settings["arms"][name].get("change", {}))
    return config


def run(settings: Mapping[str, Any], arm: str, seed: int, output: Path) -> None:
    """Train one arm with one seed, and tag dev and test; what is there already stays."""
    stem = f"{arm}-{seed}"
    path = output / f"{stem}.yaml"
    path.write_text(yaml.safe_dump(config_of(settings, arm, seed, output), sort_keys=False), encoding="utf-8")
    call("reinforce" if "reinforces" in settings["arms"][arm] else "finetune", path, "--resume")
    tag(output, stem, ("dev", "test"))


def tag(output: Path, stem: str, splits: Sequence[str]) -> None:
    """Tag splits with the adapter of a run."""
    for split in splits:
        found = output / f"{stem}.{split}.jsonl"
        if not found.is_file():
            data = output / "data" / f"{split}.jsonl"
            call("tag", data, "--adapter", output / stem, "--batch-size", 64, "-o", found)


def attempts(settings: Mapping[str, Any], output: Path) -> None:
    """Print the F1 on dev with each of the other settings, beside those of the arms."""
    own, folder = settings["attempts"], output / "attempts"
    folder.mkdir(exist_ok=True)
    seed = own["seed"]
    for arm in ("sft", "sft_more", "grpo"):
        run(settings, arm, seed, output)
        print(f"{arm}: {_on_dev(output, output / f'{arm}-{seed}.dev.jsonl')}", flush=True)
    for name, changes in own["settings"].items():
        flags = [f"reinforcement.{each}={value}" for each, value in {"output": folder / name, **changes}.items()]
        sets = [part for flag in flags for part in ("--set", flag)]
        call("reinforce", output / f"grpo-{seed}.yaml", "--resume", *sets)
        found = folder / f"{name}.dev.jsonl"
        if not found.is_file():
            call("tag", output / "data" / "dev.jsonl", "--adapter", folder / name, "--batch-size", 64, "-o", found)
        print(f"{name}: {_on_dev(output, found)}", flush=True)


def _on_dev(output: Path, found: Path) -> str:
    gold = load_split(str(output / "data" / "dev.jsonl")).examples
    return f"{100 * score_spans(gold, read_predictions(found)).micro.score.f1:.2f}"


def table(settings: Mapping[str, Any], output: Path) -> str:
    """Return the table of what is there."""
    splits = {split: load_split(str(output / "data" / f"{split}.jsonl")).examples for split in ("dev", "test")}
    made = list(itertools.islice(posts(synthesis_of("test"), 0), settings["posts"]["test"]))
    best = bound(made).expected
    found = [(arm, seed) for arm, seed in planned(settings) if (output / f"{arm}-{seed}.test.jsonl").is_file()]
    tallies: dict[str, dict[int, Tally]] = {}
    for arm, seed in found:
        predicted = read_predictions(output / f"{arm}-{seed}.test.jsonl")
        tallies.setdefault(arm, {})[seed] = score_spans(splits["test"], predicted).micro
    rows = []
    for names in settings["groups"]:
        there = {name: tallies[name] for name in names if name in tallies}
        if there:
            scores = compare_arms(there)
            rows += [_row(name, each, list(there[name]), best, splits, output) for name, each in scores.items()]
    lines = [
        "# Reinforcement with exact rewards",
        "",
        f"{settings['question']} `python -m eval.experiments.grpo --output DIR`, settings in "
        "`eval/experiments/grpo.yaml`. "
        f"The starter on {settings['posts']['train']} synthetic posts of a held-out label set; "
        f"{settings['posts']['test']} test posts, on which the best possible F1 is {100 * best:.1f} %.",
        "",
        "| arm | seeds | strict F1, % | share of best possible | against the first of its group | GMNER F1, % | ECE "
        "| calibrated |",
        "|---|---|---|---|---|---|---|---|",
        *rows,
        "",
        "Intervals and p: bootstrap over posts and seeds, Holm over the arms of a group. Calibration: temperature and "
        "shift fitted on dev.",
        "",
        *_rollouts(settings, output),
        "",
    ]
    return "\n".join(lines)


def _pairs(
    splits: Mapping[str, Sequence[Example]], output: Path, arm: str, seed: int, split: str
) -> Sequence[tuple[Example, Prediction]]:
    return pair_posts(splits[split], read_predictions(output / f"{arm}-{seed}.{split}.jsonl"))


def _row(
    name: str,
    score: ArmScore,
    seeds: Sequence[int],
    best: float,
    splits: Mapping[str, Sequence[Example]],
    output: Path,
) -> str:
    before, after, triples = [], [], []
    for seed in seeds:
        scaling = fit_scaling(judge(_pairs(splits, output, name, seed, "dev")))
        judged = judge(_pairs(splits, output, name, seed, "test"))
        before.append(measure(judged).ece.value)
        after.append(measure(judged.with_scaling(scaling)).ece.value)
        if name.endswith("boxes"):
            predicted = read_predictions(output / f"{name}-{seed}.test.jsonl")
            triples.append(score_triples(splits["test"], predicted).gmner.score.f1)
    spread = "" if score.deviation is None else f" ± {100 * score.deviation:.1f}"
    apart = score.against_first
    against = ""
    if apart is not None:
        low, high = 100 * apart.low, 100 * apart.high
        against = f"{100 * apart.difference:+.1f} ({low:+.1f} to {high:+.1f}), p {apart.adjusted_p_value:.3f}"
    grounded = f"{100 * sum(triples) / len(triples):.1f}" if triples else ""
    return (
        f"| {name} | {len(seeds)} | {100 * score.mean:.1f}{spread} | {score.mean / best:.2f} | {against} | {grounded} "
        f"| {sum(before) / len(before):.3f} | {sum(after) / len(after):.3f} |"
    )


def _rollouts(settings: Mapping[str, Any], output: Path) -> Iterator[str]:
    """Say what the logs of the reinforced runs hold."""
    for arm, seed in planned(settings):
        path = output / f"{arm}-{seed}" / "metrics.jsonl"
        if "reinforces" not in settings["arms"][arm] or not path.is_file():
            continue
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        steps = [line for line in lines if "reward" in line]
        first, last = steps[: len(steps) // 4], steps[-len(steps) // 4 :]
        means = [sum(line["reward"] for line in part) / max(1, len(part)) for part in (first, last)]
        yield (
            f"- {arm}-{seed}: {len(steps)} steps, reward {means[0]:.3f} in the first quarter, {means[1]:.3f} in the "
            "last; "
            f"illegal answers {sum(line['answers/illegal'] for line in steps):.0f}, cut "
            f"{sum(line['answers/cut'] for line in steps):.0f}."
        )


if __name__ == "__main__":
    main()
