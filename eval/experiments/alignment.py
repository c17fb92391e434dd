"""Runs the experiment of ``alignment.yaml``, and writes its table.

    python -m eval.experiments.alignment --output DIR                         the primary group; a stopped run goes on
    python -m eval.experiments.alignment --output DIR --groups small large    others
    python -m eval.experiments.alignment --output DIR --groups other_base --base FOLDER
    python -m eval.experiments.alignment --output DIR --arms plain all_four --seeds 0 1
    python -m eval.experiments.alignment --output DIR --table                 the table of what is there
    python -m eval.experiments.alignment --output DIR --tune                  variants of alignment-tuning.yaml, on dev
    python -m eval.experiments.alignment --output DIR --unpack --table        the tables of the runs that are kept
    python -m eval.experiments.alignment --output DIR --pack                  keep the runs of DIR instead

A seed and an arm are one fine-tuning and some taggings. Each leaves ``DIR/GROUP/ARM-SEED/scores.json.gz``: for every
mention whether it was found with the right span and type, and what the training cost. Several may run at once on the
same folder: ``--part 0/2`` and ``--part 1/2`` share the runs out.
``eval/results/alignment-runs.jsonl.xz`` keeps the scores of all runs in one file.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from eval.experiments.aligning.archive import ARCHIVE, pack_runs, unpack_runs
from eval.experiments.aligning.report import table, tuning_table
from eval.experiments.aligning.runs import Task, made_posts, make_data, run, tasks
from eval.experiments.aligning.scores import f1
from eval.experiments.experiment import merged
from instruct_mner.console import quiet_libraries
from instruct_mner.files import replacing

HERE = Path(__file__).parent
SETTINGS, TUNING = HERE / "alignment.yaml", HERE / "alignment-tuning.yaml"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    settings = yaml.safe_load(SETTINGS.read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--groups", nargs="*", default=["primary"], choices=list(settings["groups"]))
    parser.add_argument("--arms", nargs="*", choices=list(settings["arms"]))
    parser.add_argument("--seeds", nargs="*", type=int)
    parser.add_argument("--starter", default="starter", help="the base of all groups but one")
    parser.add_argument("--base", help="a starter that was built without attention supervision, for group other_base")
    parser.add_argument("--part", default="0/1", help="I/N: of N processes that share the runs out, this is I")
    parser.add_argument("--table", action="store_true", help="only write the table")
    parser.add_argument("--tune", nargs="*", metavar="VARIANT", help="variants of alignment-tuning.yaml, on dev")
    parser.add_argument("--unpack", action="store_true", help="first write the runs that are kept into the folder")
    parser.add_argument("--pack", action="store_true", help="only keep the runs of the folder, all of them")
    given = parser.parse_args(arguments)
    quiet_libraries()
    if given.pack:
        print(f"{pack_runs(given.output)} runs in {ARCHIVE}")
        return
    if given.unpack:
        unpack_runs(given.output)
    data = given.output / "data"
    if given.tune is None:
        bases = {"starter": given.starter, "without attention": given.base}
        chosen = tasks(settings, given.output, given.groups, bases=bases)
    else:
        variants = yaml.safe_load(TUNING.read_text(encoding="utf-8"))
        settings = merged(settings, variants["settings"])
        chosen = tuning(settings, variants["variants"], given.tune, given.output, given.starter)
    chosen = [
        each
        for each in chosen
        if (not given.arms or each.arm in given.arms) and (given.seeds is None or each.seed in given.seeds)
    ]
    if not given.table:
        make_data(settings, data)
        part, parts = map(int, given.part.split("/"))
        for task in chosen[part::parts]:
            found = run(task, settings, data)
            score = f1(found["own" if "own" in found else "none"])
            name = f"{task.folder.parent.name} {task.folder.name}"
            print(f"{name}: {found['all_seconds']:.0f} s, F1 {score:.4f}", flush=True)
    if given.tune is None:
        with replacing(given.output / "alignment.md") as file:
            file.write(table(settings, given.output, made_posts(settings, "test")))
    else:
        with replacing(given.output / "alignment-tuning.md") as file:
            file.write(tuning_table(settings, variants["variants"], given.output, made_posts(settings, "dev")))


def tuning(
    settings: dict[str, Any], variants: dict[str, dict[str, Any]], names: Sequence[str], output: Path, base: str
) -> list[Task]:
    """Variants of arms, judged on dev posts, with seeds that the experiment does not use."""
    group = settings["tuning"]
    found = []
    for seed in group["seeds"]:
        for name, change in variants.items():
            if not names or name in names or change["arm"] in names:
                arm = dict(settings["arms"][change["arm"]])
                arm.pop("seeds", None)
                changes = merged(arm, change.get("change", {}))
                folder = output / "tuning" / f"{name}-{seed}"
                found.append(Task(name, changes, seed, group["posts"], base, "dev", folder))
    return found


if __name__ == "__main__":
    main()
