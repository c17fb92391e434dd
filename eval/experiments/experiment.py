"""A recipe on a model over several seeds, with the baselines that every table needs.

    python -m eval.experiments.experiment twitter2015 qwen3_vl_8b --data DIR --images DIR

For each seed two models are trained by the same recipe: one with pictures, and one without. The first is tested with
its pictures, with shuffled pictures and without; the second without. Everything goes through the command line, a
stopped run continues, and the table names the command that makes it again.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
ARMS = {
    "with pictures": ("pictures", "own"),
    "shuffled pictures": ("pictures", "shuffled"),
    "pictures left out": ("pictures", "none"),
    "text only, same recipe": ("text", "none"),
}


@dataclass(frozen=True)
class Experiment:
    """Recipe with its placeholders filled in.

    Attributes:
        recipe: ``name``, ``config`` and ``test`` of a file in ``recipes``.
        model: Settings of a file in ``models``, which override those of the recipe.
        images: Folder of the pictures.
        seeds: Seeds of the runs, at least three.
        output: Folder of runs and table.
        command: Command of this run, for the table.
    """

    recipe: Mapping[str, Any]
    model: Mapping[str, Any]
    images: str | None
    seeds: Sequence[int]
    output: Path
    command: str

    @property
    def grounded(self) -> bool:
        """Whether answers have boxes."""
        return bool(self.recipe["config"].get("answer", {}).get("grounded"))

    def config(self, kind: str, seed: int) -> dict[str, Any]:
        """Return the settings of one training: ``pictures``, or ``text`` with everything but the pictures the same."""
        config = merged(self.recipe["config"], self.model)
        config = merged(config, {"seed": seed, "output": str(self.output / f"{kind}-{seed}")})
        if self.images:
            config = merged(config, {"data": {"images": self.images}})
        if kind == "text":
            without = {"max_images": 0, "answer": {"grounded": False}, "data": {"missing_image": "text"}}
            config = merged(config, without)
        return config


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with others laid over them, section by section."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else value
    return result


def call(*arguments: object) -> str:
    """Run ``instruct-mner`` and return its standard output."""
    command = [sys.executable, "-m", "instruct_mner", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603


def run(experiment: Experiment) -> dict[str, list[dict[str, Any]]]:
    """Return the reports of every arm, one a seed."""
    reports: dict[str, list[dict[str, Any]]] = {arm: [] for arm in ARMS}
    for seed in experiment.seeds:
        for kind in ("pictures", "text"):
            path = experiment.output / f"{kind}-{seed}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(yaml.safe_dump(experiment.config(kind, seed), sort_keys=False), encoding="utf-8")
            call("finetune", path, "--resume")
        for arm, (kind, source) in ARMS.items():
            reports[arm].append(score(experiment, kind, seed, source))
    return reports


def score(experiment: Experiment, kind: str, seed: int, source: str) -> dict[str, Any]:
    """Return the report of one arm of one seed on the test set."""
    folder = experiment.output / f"{kind}-{seed}"
    predictions = experiment.output / f"{kind}-{seed}-{source}.jsonl"
    test = experiment.recipe["test"]
    images = ["--images", experiment.images] if experiment.images else []
    if not predictions.exists():
        call("tag", test, "--adapter", folder, "--image-source", source, *images, "-o", predictions)
    scored = predictions
    if experiment.grounded and kind == "text":
        scored = predictions.with_suffix(".invisible.jsonl")
        all_invisible(predictions, scored)
    report: dict[str, Any] = json.loads(call("evaluate", test, scored, "--json", "--run", folder))
    return report


def all_invisible(predictions: Path, output: Path) -> None:
    """Write predictions with "not visible" for every entity, the only answer about boxes that needs no picture."""
    lines = []
    for line in predictions.read_text(encoding="utf-8").split("\n")[:-1]:
        prediction = json.loads(line)
        for entity in prediction["entities"]:
            entity["boxes"] = []
        lines.append(json.dumps(prediction, ensure_ascii=False) + "\n")
    output.write_text("".join(lines), encoding="utf-8")


def spread(values: Sequence[float]) -> str:
    """Return mean ± standard deviation in per cent."""
    mean = 100 * statistics.mean(values)
    return f"{mean:.2f} ± {100 * statistics.stdev(values):.2f}" if len(values) > 1 else f"{mean:.2f}"


def table(experiment: Experiment, reports: Mapping[str, Sequence[dict[str, Any]]]) -> str:
    """Return the Markdown table: micro first, then types, then spans, then rejected items."""
    first = reports["with pictures"][0]
    types = list(first["per_type"])
    names = ["arm", *(["GMNER"] if first["triples"] else []), "micro F1", *types, "span only", "rejected"]
    rows = [names, ["---"] * len(names)]
    rows += [[arm, *cells(each, types, grounded=bool(first["triples"]))] for arm, each in reports.items()]
    if first["triples"]:
        baseline = f"{100 * first['triples']['not_visible_baseline']:.2f}"
        rows.append(['perfect text, all "not visible"', baseline, *["100.00"] * (len(names) - 3), "0.00"])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([*heading(experiment, reports), *lines, "", *differences(experiment), ""])


def cells(reports: Sequence[Mapping[str, Any]], types: Sequence[str], *, grounded: bool) -> list[str]:
    """Return the numbers of one arm over its seeds."""
    columns = [[report["triples"]["gmner"]["f1"] for report in reports]] if grounded else []
    columns.append([report["micro"]["f1"] for report in reports])
    columns += [[report["per_type"].get(name, {"f1": 0.0})["f1"] for report in reports] for name in types]
    columns.append([report["span_only"]["f1"] for report in reports])
    columns.append([sum(kind["rate"] for kind in report["rejected"].values()) for report in reports])
    return [spread(column) for column in columns]


def heading(experiment: Experiment, reports: Mapping[str, Sequence[dict[str, Any]]]) -> list[str]:
    """Return the lines above the table: data, command, and leaks."""
    first = reports["with pictures"][0]
    gold = first["gold"]
    seeds = ", ".join(map(str, experiment.seeds))
    origins = [report["origin"] or {} for each in reports.values() for report in each]
    stamps = {stamp for origin in origins for stamp in origin.get("leaked", ())}
    return [
        f"# {experiment.recipe['name']}, {experiment.model['model']}",
        "",
        f"Test: {gold['known'] or gold['name']} (sha256 `{gold['sha256'][:12]}`), {gold['num_posts']} posts, decoding "
        f"{gold['decode']}, match {first['match']}. {len(experiment.seeds)} seeds ({seeds}), mean ± standard "
        "deviation, per cent. The checkpoint is chosen on dev.",
        "",
        *(f"**LEAKED: {stamp}**" for stamp in sorted(stamps)),
        f"`{experiment.command}`",
        "",
    ]


def differences(experiment: Experiment) -> list[str]:
    """Return pictures less text only, paired by post, a line a seed."""
    lines = []
    for seed in experiment.seeds:
        files = [experiment.output / f"text-{seed}-none.jsonl", experiment.output / f"pictures-{seed}-own.jsonl"]
        report = json.loads(call("evaluate", experiment.recipe["test"], *files, "--json"))
        micro = report["comparison"]["differences"]["micro"]
        lines.append(
            f"- seed {seed}: micro F1 with pictures less text only {100 * micro['difference']:+.2f}, 95 % "
            f"{100 * micro['low']:+.2f} to {100 * micro['high']:+.2f}, p = {micro['p_value']:.3f} (paired bootstrap)"
        )
    return lines


def read(folder: str, name: str, places: Mapping[str, str]) -> dict[str, Any]:
    """Return a file of ``recipes`` or ``models``, with ``{data}`` filled in."""
    path = HERE / folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(each.stem for each in path.parent.glob("*.yaml")))
        sys.exit(f"there is no {path}; known: {known}")
    text = path.read_text(encoding="utf-8")
    for place, value in places.items():
        text = text.replace("{" + place + "}", value)
    values: dict[str, Any] = yaml.safe_load(text)
    return values


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="name of a file in eval/experiments/recipes, without .yaml")
    parser.add_argument("model", help="name of a file in eval/experiments/models, without .yaml")
    parser.add_argument("--data", required=True, help="folder of the data set")
    parser.add_argument("--images", help="folder of its pictures")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds; default 0 1 2")
    parser.add_argument("--output", type=Path, help="folder of runs and table; default runs/RECIPE-MODEL")
    parser.add_argument("--base", help="hub name or folder that replaces the base of the model file")
    arguments = parser.parse_args()
    model = read("models", arguments.model, {})
    if arguments.base:
        model["model"] = arguments.base
    experiment = Experiment(
        recipe=read("recipes", arguments.recipe, {"data": arguments.data}),
        model=model,
        images=arguments.images,
        seeds=arguments.seeds,
        output=arguments.output or Path("runs") / f"{arguments.recipe}-{arguments.model}",
        command=shlex.join(["python", "-m", "eval.experiments.experiment", *sys.argv[1:]]),
    )
    text = table(experiment, run(experiment))
    (experiment.output / "table.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
