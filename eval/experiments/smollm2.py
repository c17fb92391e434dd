"""SmolLM2 on the published sets: LoRA on whole train sets, as ``smollm2.yaml`` says.

    python -m eval.experiments.smollm2 --output DIR                     all runs; a stopped one goes on
    python -m eval.experiments.smollm2 --output DIR --only 'gmner/*'    those of a pattern, on another core
    python -m eval.experiments.smollm2 --output DIR --table             the table of what is there
    python -m eval.experiments.smollm2 --output DIR --unpack --table    the table, with the runs in eval/results
    python -m eval.experiments.smollm2 --output DIR --pack              what is there, put into eval/results too

Each run leaves ``DIR/SET/ARM-SEED/`` (the run folder), ``ARM-SEED.test.jsonl`` (its predictions) and
``ARM-SEED.test.json`` (its report); of an arm with captions ``bare``, the same model without them, and where the
settings ask for it ``dev``, on which a temperature is fitted.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from eval.experiments.smollm2_archive import archive_of, pack_runs, unpack_runs
from eval.experiments.smollm2_table import PlannedRun, table
from instruct_mner.data.captions import read_captions
from instruct_mner.data.jsonl import write_jsonl
from instruct_mner.data.loading import load_split
from instruct_mner.experiment.arms import merged
from instruct_mner.files import replacing
from instruct_mner.schema.records import Context, Example

SETTINGS = Path(__file__).with_name("smollm2.yaml")
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
SPLITS = {"train": "train", "dev": "valid", "test": "test"}


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the published sets")
    parser.add_argument("--settings", type=Path, default=SETTINGS, help="YAML file of arms and runs")
    parser.add_argument("--only", default="*", help="pattern of runs, such as 'twitter2017/caption*-0'")
    parser.add_argument("--table", action="store_true", help="only write the table")
    parser.add_argument("--pack", action="store_true", help="only put the runs of the folder into eval/results")
    parser.add_argument("--unpack", action="store_true", help="first write the runs of eval/results into the folder")
    given = parser.parse_args()
    settings = yaml.safe_load(given.settings.read_text(encoding="utf-8"))
    runs = list(planned(settings))
    if given.unpack:
        unpack_runs(archive_of(given.settings), given.output, given.data)
    if given.pack:
        print(f"{pack_runs(runs, given.output, archive_of(given.settings))} files of predictions")
        return
    if not given.table:
        chosen = [each for each in runs if fnmatch(f"{each.set}/{each.stem}", given.only)]
        if not chosen:
            parser.error(f"--only {given.only}: none of the runs; they are named as in 'twitter2017/caption-0'")
        for each in chosen:
            run(settings, each, given.output, given.data)
    with replacing(given.output / f"{given.settings.stem}.md") as file:
        file.write(table(settings, runs, given.output, given.data))


def call(*arguments: object) -> str:
    """Run ``instruct-mner`` and return its standard output."""
    command = [sys.executable, "-m", "instruct_mner", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603


def planned(settings: Mapping[str, Any]) -> Iterator[PlannedRun]:
    """Every run, in order."""
    for each in settings["runs"]:
        for seed in each["seeds"]:
            yield PlannedRun(each["set"], each["arm"], seed)


def run(settings: Mapping[str, Any], planned_run: PlannedRun, output: Path, data: Path) -> None:
    """Train and tag one arm with one seed; what is there already stays."""
    name, arm, seed = planned_run.set, planned_run.arm, planned_run.seed
    folder, stem = output / name, planned_run.stem
    measured = tagged_splits(settings["arms"][arm])
    if all((folder / f"{stem}.{which}.json").is_file() for which, _ in measured):
        return
    folder.mkdir(parents=True, exist_ok=True)
    begin = time.perf_counter()
    trains = settings["arms"][arm].get("train", True)
    model = (train if trains else untrained)(settings, planned_run, folder, data)
    times = {"train_seconds": round(time.perf_counter() - begin, 1)} if trains else {}
    origin = ["--run", folder / stem] if trains else []
    for which, flags in measured:
        if (folder / f"{stem}.{which}.json").is_file():
            continue
        begin = time.perf_counter()
        posts = split(settings, name, arm, "dev" if which == "dev" else "test", folder, data)
        predictions = folder / f"{stem}.{which}.jsonl"
        batch = ("--batch-size", settings["tag"]["batch_size"])
        call("tag", posts, *model, *batch, *missing(settings, arm), *flags, "-o", predictions)
        times[f"tag_{which}_seconds"] = round(time.perf_counter() - begin, 1)
        found = json.loads(call("evaluate", posts, predictions, "--json", *origin))
        with replacing(folder / f"{stem}.{which}.json") as file:
            json.dump({**found, "times": times}, file)
    print(f"{name} {arm} {seed}: {times}, F1 {100 * found['micro']['f1']:.2f}", flush=True)


def tagged_splits(arm: Mapping[str, Any]) -> list[tuple[str, tuple[str, ...]]]:
    """Return what an arm tags, with the flags of each; test comes last."""
    if arm.get("tune"):
        return [("dev", ())]
    tagged: list[tuple[str, tuple[str, ...]]] = [("dev", ())] if arm.get("dev") else []
    tagged += [("bare", ("--no-context",))] if arm.get("captions") else []
    return [*tagged, ("test", ())]


def train(settings: Mapping[str, Any], run: PlannedRun, folder: Path, data: Path) -> list[object]:
    """Train, and return the flags of the model."""
    config = config_of(settings, run.set, run.arm, run.seed, folder, data)
    path = folder / f"{run.stem}.yaml"
    origin = settings["arms"][run.arm].get("reinforces")
    if origin is not None:
        config["output"] = str(folder / f"{origin}-{run.seed}")
        config = merged(config, {"reinforcement": {"output": str(folder / run.stem)}})
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    call("finetune" if origin is None else "reinforce", path, "--resume")
    return ["--model" if config.get("tuning") == "full" else "--adapter", folder / run.stem]


def untrained(settings: Mapping[str, Any], run: PlannedRun, folder: Path, data: Path) -> list[object]:
    """Return the flags of the model as it is, asked about the labels of the train set."""
    posts = split(settings, run.set, run.arm, "train", folder, data)
    labels = sorted({entity.label for post in load_split(posts, missing_image="text").examples for entity in post.gold})
    flags = settings["arms"][run.arm].get("tag", [])
    examples = ["--examples", posts, *flags] if flags else []
    return ["--model", settings["config"]["model"], "--labels", ",".join(labels), *examples]


def missing(settings: Mapping[str, Any], arm: str) -> list[str]:
    """Return the flags for posts whose pictures are not there."""
    return [] if settings["arms"][arm].get("captions") else ["--missing-image", "text"]


def config_of(settings: Mapping[str, Any], name: str, arm: str, seed: int, folder: Path, data: Path) -> dict[str, Any]:
    """Return the config of a run."""
    places = {which: split(settings, name, arm, which, folder, data) for which in SPLITS}
    own = {
        "data": {
            "train": places["train"],
            "evaluate_on": [places["dev"], places["test"]],
            # Posts whose text stands in test too are left out.
            "leaks": "drop",
            "missing_image": "text",
        },
        "seed": seed,
        "output": str(folder / f"{arm}-{seed}"),
    }
    return merged(merged(settings["config"], own), settings["arms"][arm].get("change", {}))


def split(settings: Mapping[str, Any], name: str, arm: str, which: str, folder: Path, data: Path) -> str:
    """Name a split as DATA; with captions it is written down first."""
    published = settings["sets"][name]
    place = data / name / "txt" if published["format"] == "gmner" else data / name
    known = "dev" if which == "dev" and published["format"] != "conll" else SPLITS[which]
    plain = f"{published['format']}:{place / f'{known}.txt'}"
    captions = settings["arms"][arm].get("captions")
    if captions is None:
        return plain
    path = folder / f"{which}-{captions}.jsonl"
    if not path.is_file():
        write_jsonl(path, captioned(plain, data / "captions" / published["captions"], captions))
    return str(path)


def captioned(plain: str, file: Path, which: str) -> list[Example]:
    """Return posts with their captions, or with those of others; a post that has none stays as it is."""
    captions = read_captions(file)
    posts = load_split(plain, missing_image="text").examples
    own = [captions.get(f"{post.id}.jpg") for post in posts]
    said = dict(enumerate(own))
    if which == "shuffled":
        # One step around a shuffled circle: no post keeps its own.
        circle = random.Random(0).sample(range(len(own)), len(own))  # noqa: S311
        said = {index: own[other] for index, other in zip(circle, circle[1:] + circle[:1], strict=True)}
    return [
        post.without_images().model_copy(update={"context": said[index] and Context(caption=said[index])})
        for index, post in enumerate(posts)
    ]


if __name__ == "__main__":
    main()
