"""The table of ``smollm2.py``, of whatever has been run; what has not is named."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from eval.experiments.calibrators import other_calibrators
from eval.experiments.smollm2_other_scores import other_scores
from instruct_mner.data.loading import load_split
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.scoring.calibration import fit_scaling, judge, measure
from instruct_mner.scoring.counts import Tally
from instruct_mner.scoring.pairing import pair_posts
from instruct_mner.scoring.seeds import ArmDifference, compare_arms
from instruct_mner.scoring.seen import seen_recall
from instruct_mner.scoring.spans import score_spans
from instruct_mner.scoring.systems import holm

# Source: UMT (https://aclanthology.org/2020.acl-main.306), table 1 and its logs; tolerant decoding of BIO.
PUBLISHED = {
    "twitter2017": {
        "BERT, text only": {"micro": 82.95},
        "BERT-CRF, text only": {"micro": 83.44},
        "UMT, with pictures": {"micro": 85.09, "PER": 90.8, "LOC": 85.6, "ORG": 82.4, "MISC": 68.6},
    },
    "twitter2015": {
        "BERT, text only": {"micro": 71.32},
        "BERT-CRF, text only": {"micro": 71.81},
        "UMT, with pictures": {"micro": 73.20, "PER": 85.4, "LOC": 81.0, "ORG": 61.0, "OTHER": 38.3},
    },
}
# More have no column each.
_MOST_TYPES = 10


@dataclass(frozen=True)
class PlannedRun:
    """A run of the settings.

    Attributes:
        set: Name of the data set.
        arm: Name of the arm.
        seed: Seed of the run.
    """

    set: str
    arm: str
    seed: int

    @property
    def stem(self) -> str:
        """Name of its files."""
        return f"{self.arm}-{self.seed}"


def table(settings: Mapping[str, Any], runs: Sequence[PlannedRun], output: Path, data: Path) -> str:
    """Return the Markdown.

    Args:
        settings: Content of ``smollm2.yaml``, or of another such file.
        runs: All runs that were planned.
        output: Folder of the runs.
        data: Folder of the published sets.
    """
    tuned = [each for each in runs if settings["arms"][each.arm].get("tune")]
    done = [each for each in runs if each not in tuned and _report(output, each).is_file()]
    config, optimizer = settings["config"], settings["config"]["optimizer"]
    lines = [
        f"# {settings['title']}", "",
        f"`{settings['command']}`. LoRA of rank {config['lora']['rank']} on whole train "
        f"sets, {config['dtype']}, {optimizer['epochs']} epochs, {optimizer['batch_size']} posts a batch, rate "
        f"{optimizer['learning_rate']:g}; the last step is kept, and test is tagged once. Strict micro F1 in per cent; "
        "mean ± standard deviation where there are several seeds, else the 95 % interval of a bootstrap over posts.",
    ]  # fmt: skip
    for name in settings["sets"]:
        own = [each for each in done if each.set == name]
        if own:
            lines += ["", f"## {name}", "", *_scores(settings, own, output, data / name)]
    lines += _tuning(settings, [each for each in tuned if _report(output, each, "dev").is_file()], output)
    missing = [
        f"{each.set} {each.stem}"
        for each in runs
        if not _report(output, each, "dev" if each in tuned else "test").is_file()
    ]
    lines += ["", "## Not run", "", ", ".join(missing) + "." if missing else "Nothing: all that was planned was run."]
    return "\n".join(lines) + "\n"


def _tuning(settings: Mapping[str, Any], runs: Sequence[PlannedRun], output: Path) -> Iterator[str]:
    """Other settings, by dev alone."""
    if runs:
        yield from [
            "",
            "## Settings that were tried, on dev",
            "",
            _row(["set", "change", "F1, dev"]),
            _row(["---"] * 3),
        ]
    for each in runs:
        report = json.loads(_report(output, each, "dev").read_text(encoding="utf-8"))
        change = yaml.safe_dump(settings["arms"][each.arm]["change"], default_flow_style=True, width=200).strip()
        yield _row([each.set, f"`{change}`, seed {each.seed}", _spread([report["micro"]])])


def _report(output: Path, run: PlannedRun, which: str = "test") -> Path:
    return output / run.set / f"{run.stem}.{which}.json"


def _scores(settings: Mapping[str, Any], runs: Sequence[PlannedRun], output: Path, data: Path) -> Iterator[str]:
    reports = {each: json.loads(_report(output, each).read_text(encoding="utf-8")) for each in runs}
    types = list(next(iter(reports.values()))["per_type"])
    if len(types) > _MOST_TYPES:
        types = []
    shares = ["span only", "rejected", "entities a post", "seen", "unseen", "posts/s"]
    names = ["", "seeds", "F1, dev", "micro F1", *types, *shares]
    yield _row(names)
    yield _row(["---"] * len(names))
    for arm in settings["arms"]:
        own = [each for each in runs if each.arm == arm]
        if own:
            yield _row([arm, str(len(own)), *_cells([reports[each] for each in own], own, types, output, data)])
    for system, scores in PUBLISHED.get(runs[0].set, {}).items():
        cells = [f"{scores[key]:.2f}" if key in scores else "" for key in ("micro", *types)]
        yield _row([f"*{system}*", "", "", *cells, *[""] * 6])
    yield ""
    yield (
        "*seen*, *unseen*: recall of gold mentions that stand in train with this type, and of the others. *entities a "
        "post*: gold, predicted."
    )
    for arm in settings["arms"]:
        predicted = [
            read_predictions(output / each.set / f"{each.stem}.test.jsonl") for each in runs if each.arm == arm
        ]
        for line in other_scores(runs[0].set, arm, predicted, data) if predicted else ():
            yield from ("", line)
    yield from _differences(settings, runs, output, data)
    yield from _calibration(runs, output, data)


def _cells(
    reports: Sequence[Mapping[str, Any]], runs: Sequence[PlannedRun], types: Sequence[str], output: Path, data: Path
) -> Iterator[str]:
    dev = [_report(output, each, "dev") for each in runs]
    scores = [100 * json.loads(path.read_text(encoding="utf-8"))["micro"]["f1"] for path in dev if path.is_file()]
    yield f"{statistics.mean(scores):.2f}" if scores else ""
    yield _spread([report["micro"] for report in reports])
    for label in types:
        yield _spread([report["per_type"][label] for report in reports])
    yield _spread([report["span_only"] for report in reports])
    yield " ".join(
        f"{sum(report['rejected'][kind]['count'] for report in reports)} {kind}" for kind in reports[0]["rejected"]
    )
    posts = [report["entities_per_post"] for report in reports]
    yield ", ".join(f"{statistics.mean(each[side] for each in posts):.2f}" for side in ("gold", "predicted"))
    recalls = [_recalls(output / each.set / f"{each.stem}.test.jsonl", data) for each in runs]
    for which in (0, 1):
        yield f"{100 * statistics.mean(each[which] for each in recalls):.1f}"
    speeds = [report["gold"]["num_posts"] / report["times"]["tag_test_seconds"] for report in reports]
    yield f"{statistics.mean(speeds):.1f}"


def _spread(measured: Sequence[Mapping[str, Any]]) -> str:
    values = [100 * each["f1"] for each in measured]
    if len(values) > 1:
        return f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}"
    return f"{values[0]:.2f} ({100 * measured[0]['f1_low']:.1f} – {100 * measured[0]['f1_high']:.1f})"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


@cache
def read_posts(path: Path) -> Sequence[Example]:
    """Return the posts of a published set."""
    return load_split(str(path), missing_image="text").examples


def split_file(data: Path, *names: str) -> Path:
    """Return the file of a split, by the names that it has in one set or another."""
    paths = [folder / f"{name}.txt" for name in names for folder in (data, data / "txt")]
    return next(path for path in paths if path.is_file())


def _recalls(predictions: Path, data: Path) -> tuple[float, float]:
    """Recall of mentions that stand in train with their type, and of the others."""
    pairs = pair_posts(read_posts(split_file(data, "test")), read_predictions(predictions))
    recall = seen_recall(read_posts(split_file(data, "train")), pairs)
    return recall.seen.share, recall.unseen.share


def read_predictions(path: Path) -> list[Prediction]:
    """Return the predictions that ``tag`` wrote."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [Prediction.model_validate_json(line) for line in lines]


def _differences(settings: Mapping[str, Any], runs: Sequence[PlannedRun], output: Path, data: Path) -> Iterator[str]:
    """Compare the arms that were trained, with and without their captions, to the first one of the settings."""
    first = settings["against"]
    trained = [each for each in runs if settings["arms"][each.arm].get("train", True)]
    if first not in {each.arm for each in trained}:
        return
    gold = read_posts(split_file(data, "test"))
    tallies: dict[str, dict[int, Tally]] = {first: {}}
    for each in trained:
        splits = {"test": each.arm}
        if settings["arms"][each.arm].get("captions"):
            splits["bare"] = f"{each.arm} without captions"
        for split, name in splits.items():
            predictions = read_predictions(output / each.set / f"{each.stem}.{split}.jsonl")
            tallies.setdefault(name, {})[each.seed] = score_spans(gold, predictions).micro
    if len(tallies) == 1:
        return
    yield from ("", f"Against {first} (paired bootstrap over posts and seeds, 95 %, p with Holm):", "")
    yield _row(["arm", "seeds", "micro F1", "difference", "p"])
    yield _row(["---"] * 5)
    for name, score in compare_arms(tallies).items():
        apart = score.against_first
        if apart is not None:
            cells = [f"{100 * score.mean:.2f}", _interval(apart), f"{apart.adjusted_p_value:.3f}"]
            yield _row([name, str(len(score.values)), *cells])
    yield from _against_controls(settings.get("controls", {}), tallies)


def _against_controls(controls: Mapping[str, str], tallies: Mapping[str, Mapping[int, Tally]]) -> Iterator[str]:
    """Compare arms with the arm that differs from each in what is asked about, with captions and without."""
    pairs = [
        (f"{arm}{how}", f"{control}{how}")
        for arm, control in controls.items()
        for how in ("", " without captions")
        if f"{arm}{how}" in tallies and f"{control}{how}" in tallies
    ]
    if not pairs:
        return
    yield from ("", "Against the arm that differs in what is asked about (the same, Holm over these):", "")
    yield _row(["arm", "control", "difference", "p"])
    yield _row(["---"] * 4)
    compared = [compare_arms({of: tallies[of], arm: tallies[arm]})[arm].against_first for arm, of in pairs]
    apart = [each for each in compared if each is not None]
    for (arm, of), each, p in zip(pairs, apart, holm([each.p_value for each in apart]), strict=True):
        yield _row([arm, of, _interval(each), f"{p:.3f}"])


def _interval(apart: ArmDifference) -> str:
    return f"{100 * apart.difference:+.2f} ({100 * apart.low:+.1f} to {100 * apart.high:+.1f})"


def _calibration(runs: Sequence[PlannedRun], output: Path, data: Path) -> Iterator[str]:
    """Temperature and shift, fitted on dev, measured on test."""
    for each in runs:
        dev = output / each.set / f"{each.stem}.dev.jsonl"
        if dev.is_file():
            fitted_on = pair_posts(read_posts(split_file(data, "valid", "dev")), read_predictions(dev))
            test = output / each.set / f"{each.stem}.test.jsonl"
            measured_on = pair_posts(read_posts(split_file(data, "test")), read_predictions(test))
            fitted, judged = fit_scaling(judge(fitted_on)), judge(measured_on)
            before, after = measure(judged), measure(judged.with_scaling(fitted))
            yield ""
            yield (
                f"Calibration of {each.stem}: temperature {fitted.temperature:.2f}, shift {fitted.shift:+.2f} "
                f"from dev; ECE on test {before.ece.value:.3f} "
                f"before, {after.ece.value:.3f} after ({after.ece.interval.low:.3f} to {after.ece.interval.high:.3f})."
            )
            yield from ("", *other_calibrators(fitted_on, measured_on, fitted))
