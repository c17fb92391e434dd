"""Markdown tables of the experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eval.experiments.aligning.runs import measured_of
from eval.experiments.aligning.scores import SCORES, f1, read_scores
from eval.experiments.aligning.statistics import CUE_SLICES, best_possible, compare, masks, recalls, share
from instruct_mner.scoring.systems import holm
from instruct_mner.synthetic.posts import SyntheticPost

Runs = dict[str, dict[int, Any]]
_SOURCES = ("own", "none", "shuffled", "generated")


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """Finished runs of a group, and what they are compared by.

    Attributes:
        runs: Scores by arm and seed.
        slices: Masks of mentions, by slice.
        best: Best possible chance of each mention with the picture, ``own``, and without, ``none``.
        bootstrap: Arguments of the bootstrap.
    """

    runs: Runs
    slices: Mapping[str, Any]
    best: Mapping[str, Sequence[Sequence[float]]]
    bootstrap: Mapping[str, Any]


def read_runs(folder: Path) -> Runs:
    """Return the scores of a group, by arm and seed."""
    runs: Runs = {}
    for path in sorted(folder.glob(f"*/{SCORES}")):
        arm, _, seed = path.parent.name.rpartition("-")
        runs.setdefault(arm, {})[int(seed)] = read_scores(path)
    return runs


def table(settings: Mapping[str, Any], output: Path, made: Sequence[SyntheticPost]) -> str:
    """Return all tables of the finished runs."""
    best = {"own": best_possible(made, with_picture=True), "none": best_possible(made, with_picture=False)}
    slices = masks(made)
    most = {source: 100 * share(chances, slices["all"]) for source, chances in best.items()}
    lines = [
        "# Alignment objectives on synthetic posts", "",
        "`python -m eval.experiments.alignment --output DIR`, settings in `alignment.yaml`. LoRA on posts of a label "
        "set, drawings and a linking style that the base has never seen. Each objective has its defaults. Mean ± "
        "standard deviation over the seeds; F1 is strict.", "",
        f"Best possible, given perfect spans and sight: {most['own']:.1f} with the picture, {most['none']:.1f} "
        "without.",
    ]  # fmt: skip
    for name, group in settings["groups"].items():
        runs = read_runs(output / name)
        if runs:
            measured = _Measured(runs=runs, slices=slices, best=best, bootstrap=settings["bootstrap"])
            bases = sorted({run["base"] for arm in runs.values() for run in arm.values()})
            title = f"{group.get('base', settings['config']['model'])} ({', '.join(bases)}), {group['posts']} posts"
            sources = measured_of(settings, group)["sources"]
            tested = ", ".join(f"{number} ({source})" for source, number in sources.items())
            lines += ["", f"## {title}", "", f"Tested on the first so many posts: {tested}.", ""]
            lines += _group(settings, measured)
    return "\n".join(lines) + "\n"


def _group(settings: Mapping[str, Any], measured: _Measured) -> list[str]:
    arms, runs = list(settings["arms"]), measured.runs
    lines = [
        *_primary(settings, measured), "", "### Arms (exploratory)", "",
        *arms_table(arms, runs), "", "### By cue, with the picture (exploratory)", "",
        *_by_cue(arms, measured), "",
        "### Against plain fine-tuning, all mentions (exploratory)", "",
        *_differences(_AGAINST_PLAIN, measured, adjusted=False),
    ]  # fmt: skip
    shares = _gradient_shares(arms, runs)
    if shares:
        lines += ["", "### Gradients on LoRA over the answer's (exploratory)", "", *shares]
    if "shuffled_plain" in runs:
        lines += [
            "", "### Training on shuffled pairs (exploratory)", "", *_differences(_SHUFFLED, measured),
        ]  # fmt: skip
    return lines


# What each arm is beside plain fine-tuning with batches of the same kind, with the picture and without.
_AGAINST_PLAIN = [
    {"arm": arm, "control": control, "pictures": pictures, "slice": "all"}
    for pictures in ("own", "none")
    for arm, control in (
        ("ce_text", "plain"),
        ("cross_view", "plain"),
        ("information_bottleneck", "plain_random"),
        ("grounding_attention", "plain"),
        ("generative", "plain"),
        ("all_four", "plain_random"),
        ("grounded_answers", "plain"),
    )
]

# What is left of each primary comparison where every post is trained on beside another's picture.
_SHUFFLED = [
    {"arm": "shuffled_cross_view", "control": "shuffled_plain", "pictures": "none", "slice": "all"},
    {
        "arm": "shuffled_information_bottleneck",
        "control": "shuffled_plain",
        "pictures": "own",
        "slice": "unrelated picture",
    },
    {"arm": "shuffled_grounding", "control": "shuffled_plain", "pictures": "own", "slice": "ambiguous in text"},
    {
        "arm": "shuffled_generative",
        "control": "shuffled_plain",
        "pictures": "generated",
        "control_pictures": "none",
        "slice": "all",
    },
]


def arms_table(names: Sequence[str], runs: Runs) -> list[str]:
    """Return one line an arm, over its seeds."""
    lines = [
        "| arm | seeds | F1, picture | F1, none | F1, shuffled | F1, generated | forwards | step time / plain | "
        "pointing, probe | pointing, answer |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for arm in names:
        own = runs.get(arm, {})
        if not own:
            continue
        each = list(own.values())
        cells = [cell([f1(run[source]) for run in each if source in run]) for source in _SOURCES]
        ratios = [
            run["processor_seconds"] / runs["plain"][seed]["processor_seconds"]
            for seed, run in own.items()
            if seed in runs.get("plain", {})
        ]
        ratio = f"{np.median(ratios):.2f}" if ratios else ""
        written = [_pointing(run["own"]["points"]) for run in each if "points" in run.get("own", {})]
        probe = cell([run["probe"] for run in each if "probe" in run])
        cells += [f"{each[0]['forwards']:g}", ratio, probe, cell(written)]
        lines.append(f"| {arm} | {len(each)} | {' | '.join(cells)} |")
    return lines


def _pointing(points: Sequence[Sequence[int]]) -> float:
    seen = [each for row in points for each in row if each >= 0]
    return sum(seen) / max(1, len(seen))


def cell(values: Sequence[float]) -> str:
    """Return mean ± standard deviation in per cent."""
    if not values:
        return ""
    spread = f" ± {100 * np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{100 * np.mean(values):.1f}{spread}"


def _gradient_shares(names: Sequence[str], runs: Runs) -> list[str]:
    """Return one line an arm and objective, means over the runs that were measured; none where no run was."""
    rows = list[str]()
    for arm in names:
        each = [run["gradient_shares"] for run in runs.get(arm, {}).values() if run.get("gradient_shares")]
        for objective in each[0] if each else ():
            by_step = [{int(step): share for step, share in of[objective].items()} for of in each]
            measured = [
                [share for shares in by_step for step, share in shares.items() if step in steps]
                for steps in ((1, 2, 3), (31,), (61,), (91,))
            ]
            cells = [f"{np.mean(some):.2g}" if some else "" for some in measured]
            rows.append(f"| {arm} | {objective} | {len(each)} | {' | '.join(cells)} |")
    head = ["| arm | objective | runs | steps 1 to 3 | step 31 | step 61 | step 91 |", "|---" * 7 + "|"]
    return [*head, *rows] if rows else []


def _by_cue(names: Sequence[str], measured: _Measured) -> list[str]:
    runs, slices = measured.runs, measured.slices
    columns = [name for name in ("ambiguous in text", *CUE_SLICES) if any(map(any, slices[name]))]
    lines = [
        "Mentions found with the right span and type, in per cent.", "",
        f"| arm | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|",
    ]  # fmt: skip
    num_tested = 0
    for arm in names:
        each = [run["own"] for run in runs.get(arm, {}).values() if "own" in run]
        if each:
            num_tested = max(num_tested, *(len(run["right"]) for run in each))
            means = [[_recall(run, slices[name]) for run in each] for name in columns]
            lines.append(f"| {arm} | {' | '.join(f'{100 * np.mean(values):.1f}' for values in means)} |")
    tested = {name: slices[name][:num_tested] for name in columns}
    most = " | ".join(f"{100 * share(measured.best['own'][:num_tested], tested[name]):.1f}" for name in columns)
    counts = " | ".join(str(sum(map(sum, tested[name]))) for name in columns)
    return [*lines, f"| *best possible* | {most} |", f"| *mentions* | {counts} |"]


def _recall(scores: Mapping[str, Any], mask: Any) -> float:
    right, count = recalls(scores, mask)
    return float(right.sum() / max(1.0, count.sum()))


def _primary(settings: Mapping[str, Any], measured: _Measured) -> list[str]:
    lines = [
        "### Primary comparisons", "",
        "Points of mentions found with the right span and type; hierarchical bootstrap over seeds and posts, Holm over "
        f"the {len(settings['primary'])}. What remains is the best possible less plain, in the same slice and with the "
        "same pictures.", "",
        *_differences(settings["primary"], measured), "",
        "The same arms with the picture, all mentions: none may be worse than its control (no adjustment).", "",
    ]  # fmt: skip
    again = [{**each, "pictures": "own", "control_pictures": "own", "slice": "all"} for each in settings["primary"]]
    return [*lines, *_differences(again, measured, adjusted=False)]


def _differences(comparisons: Sequence[Mapping[str, str]], measured: _Measured, *, adjusted: bool = True) -> list[str]:
    """Return the comparisons, each over the seeds that both arms have."""
    rows, runs = [], measured.runs
    for each in comparisons:
        mine, control = runs.get(each["arm"], {}), runs.get(each["control"], {})
        sources = each["pictures"], each.get("control_pictures", each["pictures"])
        seeds = [seed for seed in sorted(set(mine) & set(control)) if sources[0] in mine[seed]]
        if seeds:
            mask = measured.slices[each["slice"]]
            pair = [
                [recalls(of[seed][source], mask) for seed in seeds]
                for of, source in zip((mine, control), sources, strict=True)
            ]
            source = "none" if sources[1] == "none" else "own"
            num_tested = len(pair[0][0][1])
            best = share(measured.best[source][:num_tested], mask[:num_tested])
            plain = [_recall(run[source], mask) for run in runs.get("plain", {}).values()]
            remaining = best - float(np.mean(plain)) if plain else None
            means = [float(np.mean([right.sum() / max(1.0, count.sum()) for right, count in own])) for own in pair]
            rows.append((each, len(seeds), compare(pair[0], pair[1], **measured.bootstrap), means, remaining))
    values = [row[2][3] for row in rows]
    p_values = holm(values) if adjusted else values
    lines = [
        "| arm | against | pictures | mentions | seeds | arm, % | control, % | difference | 95 % | p"
        f"{', Holm' if adjusted else ''} | remains after plain | of it |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (each, num_seeds, (mean, low, high, _), means, remaining), p in zip(rows, p_values, strict=True):
        lines.append(
            f"| {each['arm']} | {each['control']} | {each['pictures']} | {each['slice']} | {num_seeds} | "
            f"{100 * means[0]:.1f} | {100 * means[1]:.1f} | {100 * mean:+.1f} | {100 * low:+.1f} to "
            f"{100 * high:+.1f} | {p:.4f} | {_of_remaining(mean, remaining)} |"
        )
    return lines


def _of_remaining(mean: float, remaining: float | None) -> str:
    """Return two cells, which are empty where plain has not been run."""
    return " | " if remaining is None else f"{100 * remaining:.1f} | {mean / remaining:+.0%}"


def tuning_table(
    settings: Mapping[str, Any], variants: Mapping[str, Mapping[str, Any]], output: Path, made: Sequence[SyntheticPost]
) -> str:
    """Return the table of variants on dev posts, one line a variant."""
    runs, slices = read_runs(output / "tuning"), masks(made)
    bases = sorted({run["base"] for arm in runs.values() for run in arm.values()})
    columns = ("all", "ambiguous in text", "unrelated picture")
    lines = [
        "# Variants tried on dev posts", "",
        "`python -m eval.experiments.alignment --output DIR --tune`, variants in `alignment-tuning.yaml`. "
        f"{len(made)} dev posts, base {', '.join(bases)}, seeds that the experiment does not use. Strict F1 by "
        "pictures, then mentions found with "
        "the right span and type, with the picture. Another seed of the same arm differs by about 4 points.", "",
        f"| variant | seeds | own | none | generated | {' | '.join(columns)} | seconds | logged at the end |",
        "|---" * (8 + len(columns) - 1) + "|",
    ]  # fmt: skip
    for name in variants:
        each = list(runs.get(name, {}).values())
        if each:
            cells = [
                cell([f1(run[source]) for run in each if source in run]) for source in ("own", "none", "generated")
            ]
            cells += [cell([_recall(run["own"], slices[column]) for run in each if "own" in run]) for column in columns]
            logged = each[0]["training"]
            metrics = ", ".join(f"{key.split('/')[-1]} {logged[key]:.2f}" for key in sorted(logged) if _telling(key))
            lines.append(
                f"| {name} | {len(each)} | {' | '.join(cells)} | "
                f"{np.mean([run['processor_seconds'] for run in each]):.0f} | {metrics} |"
            )
    return "\n".join(lines) + "\n"


def _telling(name: str) -> bool:
    return name.rsplit("/", 1)[-1] in {
        "answer_loss", "mi", "kl", "kl_shuffled", "region_attention", "mention_attention", "type_accuracy",
        "text_loss", "generated_answer_loss", "text2image_loss", "image2text_loss",
    }  # fmt: skip
