"""Command of the experiment of ``alignment.yaml``, which writes its tables.

    python -m eval.experiments.alignment --output DIR                         primary group; a stopped run continues
    python -m eval.experiments.alignment --output DIR --arms plain all_four --seeds 0 1
    python -m eval.experiments.alignment --output DIR --table                 table of the finished runs
    python -m eval.experiments.alignment --output DIR --tune                  variants of alignment-tuning.yaml, on dev
    python -m eval.experiments.alignment --output DIR --unpack --table        tables of the runs in eval/results
    python -m eval.experiments.alignment --output DIR --pack                  replace these by the runs of DIR

A seed and an arm are one fine-tuning and some taggings. Each leaves ``DIR/GROUP/ARM-SEED/scores.json.gz``: for every
mention whether its span and type are predicted, and the cost of the training. Several processes may work in the same
folder: ``--part 0/2`` and ``--part 1/2`` run a half each.
``eval/results/alignment-runs.jsonl.xz`` holds the scores of all runs in one file.
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
from instruct_mner.console import quiet_libraries
from instruct_mner.experiment.arms import merged
from instruct_mner.files import replacing

HERE = Path(__file__).parent
SETTINGS, TUNING = HERE / "alignment.yaml", HERE / "alignment-tuning.yaml"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    settings = yaml.safe_load(SETTINGS.read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder of data, scores and tables")
    parser.add_argument(
        "--groups", nargs="*", default=["primary"], choices=list(settings["groups"]), help="groups to run"
    )
    parser.add_argument("--arms", nargs="*", choices=list(settings["arms"]), help="arms to run; default all")
    parser.add_argument("--seeds", nargs="*", type=int, help="seeds to run; default all")
    parser.add_argument(
        "--part", default="0/1", help="I/N: number of this process among N that share the runs; default 0/1"
    )
    parser.add_argument("--table", action="store_true", help="write the table and run nothing")
    parser.add_argument(
        "--tune", nargs="*", metavar="VARIANT", help="run variants of alignment-tuning.yaml on dev; default all"
    )
    parser.add_argument("--unpack", action="store_true", help="first write the runs of eval/results into the folder")
    parser.add_argument(
        "--pack", action="store_true", help="write all runs of the folder into eval/results, and run nothing"
    )
    given = parser.parse_args(arguments)
    quiet_libraries()
    if given.pack:
        print(f"{pack_runs(given.output)} runs in {ARCHIVE}")
        return
    if given.unpack:
        unpack_runs(given.output)
    data = given.output / "data"
    if given.tune is None:
        chosen = tasks(settings, given.output, given.groups)
    else:
        variants = yaml.safe_load(TUNING.read_text(encoding="utf-8"))
        settings = merged(settings, variants["settings"])
        chosen = tuning(settings, variants["variants"], given.tune, given.output)
    chosen = [
        each
        for each in chosen
        if (not given.arms or each.arm in given.arms) and (given.seeds is None or each.seed in given.seeds)
    ]
    if not given.table:
        make_data(settings, data)
        part, parts = map(int, given.part.split("/"))
        for task in chosen[part::parts]:
            scores = run(task, settings, data)
            score = f1(scores["own" if "own" in scores else "none"])
            name = f"{task.folder.parent.name} {task.folder.name}"
            print(f"{name}: {scores['all_seconds']:.0f} s, F1 {score:.4f}", flush=True)
    if given.tune is None:
        with replacing(given.output / "alignment.md") as file:
            file.write(table(settings, given.output, made_posts(settings, "test")))
    else:
        with replacing(given.output / "alignment-tuning.md") as file:
            file.write(tuning_table(settings, variants["variants"], given.output, made_posts(settings, "dev")))


def tuning(
    settings: dict[str, Any], variants: dict[str, dict[str, Any]], names: Sequence[str], output: Path
) -> list[Task]:
    """Return the runs of variants of arms on dev posts, with seeds that the experiment does not use.

    A variant with a ``group`` has the base, the number of posts and the config of that group.
    """
    chosen = []
    for seed in settings["tuning"]["seeds"]:
        for name, change in variants.items():
            if not names or name in names or change["arm"] in names:
                group = settings["groups"][change["group"]] if "group" in change else settings["tuning"]
                arm = {key: value for key, value in settings["arms"][change["arm"]].items() if key != "seeds"}
                changes = merged(merged(group.get("config", {}), arm), change.get("change", {}))
                folder = output / "tuning" / f"{name}-{seed}"
                base, measured = group.get("base", settings["config"]["model"]), settings["measured"]
                chosen.append(Task(name, changes, seed, group["posts"], base, "dev", folder, measured))
    return chosen


if __name__ == "__main__":
    main()
