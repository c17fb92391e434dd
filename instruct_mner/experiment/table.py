"""Table of an experiment: arms over their seeds, baselines, published scores, and what they must stand beside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from instruct_mner.experiment.arms import Arm
from instruct_mner.experiment.data import set_known_as
from instruct_mner.experiment.plan import Plan
from instruct_mner.experiment.published import STAMPS, PublishedScore, published_scores
from instruct_mner.experiment.scores import ScoredRun, leaked
from instruct_mner.scoring.counts import Tally
from instruct_mner.scoring.report import Gold
from instruct_mner.scoring.seeds import ArmScore, compare_arms
from instruct_mner.training.config import FinetuneConfig

GMNER, MICRO, SPAN_ONLY = "triples.gmner", "micro", "span_only"
_TYPE = "per_type."
# More types than these are in the CSV alone.
_MOST_TYPES = 8
_TITLES = {GMNER: "GMNER F1", MICRO: "micro F1", SPAN_ONLY: "span only"}
# Controls that belong beside a score with pictures.
_CONTROLS = {
    "text-only": "the same recipe without pictures (text-only)",
    "shuffled": "shuffled pictures (shuffled)",
}
_FEWEST_SEEDS = 3


@dataclass(frozen=True, kw_only=True)
class ArmRow:
    """An arm of the table.

    Attributes:
        arm: The arm.
        seeds: Seeds of its complete runs.
        scores: Scores by name.
        rejected: Mean share of predicted items that the parser rejected, in 0..1.
    """

    arm: Arm
    seeds: tuple[int, ...]
    scores: Mapping[str, ArmScore]
    rejected: float


@dataclass(frozen=True, kw_only=True)
class ExperimentTable:
    """Results of an experiment.

    Attributes:
        title: Name of the data, and the model.
        score_names: Names of the scores, the main one first, by which arms are compared.
        rows: Arms in their order.
        not_visible_baseline: GMNER F1 of perfect text with "not visible" everywhere, in 0..1; ``None`` without boxes.
        published: Scores that others report on this set.
        notes: Lines on what the scores must stand beside.
        missing: Names of runs that are not complete.
    """

    title: str
    score_names: tuple[str, ...]
    rows: tuple[ArmRow, ...]
    not_visible_baseline: float | None
    published: tuple[PublishedScore, ...]
    notes: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def first(self) -> str:
        """Name of the arm that the others are compared with."""
        return self.rows[0].arm.name

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the scores that are columns: all, or of many types none."""
        types = _types_of(self.score_names)
        return tuple(name for name in self.score_names if name not in types or len(types) <= _MOST_TYPES)

    def title_of(self, score: str) -> str:
        """Return the heading of a score."""
        return _TITLES.get(score) or score.removeprefix(_TYPE)

    def published_value(self, row: PublishedScore, score: str) -> float | None:
        """Return a published score in per cent; ``None`` where it is not known."""
        if score in {GMNER, MICRO}:
            return row.gmner if score == GMNER else row.micro
        return row.types.get(score.removeprefix(_TYPE))


def make_table(plan: Plan, scored: Sequence[ScoredRun], *, num_resamples: int) -> ExperimentTable:
    """Return the table of all complete runs.

    Args:
        plan: Plan of the experiment.
        scored: Complete runs, at least one.
        num_resamples: Draws of seeds and posts for intervals and p-values.
    """
    config = plan.config(plan.arms[0], 0)
    done = [arm for arm in plan.arms if any(each.run.arm == arm for each in scored)]
    tallies = {arm.name: {each.run.seed: each.system.tallies for each in scored if each.run.arm == arm} for arm in done}
    names = _score_names(scored, with_boxes=plan.asks_for_boxes)
    scores = {
        name: compare_arms(
            {arm: {seed: of[name] for seed, of in by_seed.items()} for arm, by_seed in tallies.items()},
            num_resamples=num_resamples,
        )
        for name in names
    }
    missing = tuple(run.name for run in plan.runs() if not run.is_complete)
    gold = scored[0].system.report.gold
    name = set_known_as(gold.known)
    return ExperimentTable(
        title=f"{gold.known or gold.name}, {config.model}",
        score_names=names,
        rows=tuple(
            ArmRow(
                arm=arm,
                seeds=tuple(tallies[arm.name]),
                scores={score: scores[score][arm.name] for score in names},
                rejected=_rejected([each for each in scored if each.run.arm == arm]),
            )
            for arm in done
        ),
        not_visible_baseline=scored[0].system.report.not_visible_baseline if names[0] == GMNER else None,
        published=published_scores(name),
        notes=(*_not_complete(missing), *_many_types(names), *_notes(plan, config, gold, scored, num_resamples)),
        missing=missing,
    )


def _score_names(scored: Sequence[ScoredRun], *, with_boxes: bool) -> tuple[str, ...]:
    """Return the scores that all runs have: triples, micro, types in the order of the gold, spans without types."""
    shared: dict[str, Tally] = dict(scored[0].system.tallies)
    for each in scored[1:]:
        shared = {name: tally for name, tally in shared.items() if name in each.system.tallies}
    types = [name for name, tally in shared.items() if name.startswith(_TYPE) and tally.score.gold]
    first = (GMNER, MICRO) if with_boxes else (MICRO,)
    return tuple(name for name in (*first, *types, SPAN_ONLY) if name in shared)


def _types_of(names: Sequence[str]) -> list[str]:
    return [name for name in names if name.startswith(_TYPE)]


def _not_complete(missing: Sequence[str]) -> Iterator[str]:
    if missing:
        yield f"Not complete: {', '.join(missing)}. Run the same command again."


def _many_types(names: Sequence[str]) -> Iterator[str]:
    types = _types_of(names)
    if len(types) > _MOST_TYPES:
        yield f"F1 of each of the {len(types)} types: table.csv."


def _rejected(runs: Sequence[ScoredRun]) -> float:
    rates = [each.system.report.rejected for each in runs]
    return sum(rate.rate(rate.total) for rate in rates) / len(rates)


def _dev_of(scored: Sequence[ScoredRun]) -> str:
    """Return the name of the dev set, with its hash, as the runs have stamped it."""
    origins = [each.system.report.origin for each in scored]
    stamps = [stamp for origin in origins if origin is not None for stamp in origin.datasets if stamp.role == "dev"]
    return f"{stamps[0].known or stamps[0].name} (sha256 {stamps[0].sha256[:12]})" if stamps else "dev"


def _notes(
    plan: Plan, config: FinetuneConfig, gold: Gold, scored: Sequence[ScoredRun], num_resamples: int
) -> Iterator[str]:
    for leak in leaked(scored):
        yield f"LEAKED: {leak}."
    yield (
        f"Test: {gold.known or gold.name}, sha256 {gold.sha256[:12]}, {gold.num_posts} posts; labels as in this file, "
        f"decoding of BIO tags {gold.decode}, an entity is right by start, end and type."
    )
    yield (
        f"Checkpoint: the best on the first {config.evaluation.posts} posts of {_dev_of(scored)}; test chose nothing."
        if config.data.dev
        else "Checkpoint: the last one, as there is no dev; test chose nothing."
    )
    yield (
        f"Leaks from test into train and dev: {config.data.leaks}. Missing pictures: {config.data.missing_image} "
        "(posts of test are never left out)."
    )
    yield (
        "Mean ± standard deviation over seeds, in per cent; 95 % intervals and two-sided p-values from "
        f"{num_resamples} draws of seeds and posts, paired with the first arm, p after Holm."
    )
    num_processes = plan.settings.num_processes
    if num_processes > 1:
        posts = num_processes * config.optimizer.batch_size * config.optimizer.gradient_accumulation_steps
        yield f"Trained in {num_processes} processes: {posts} posts a step."
    done = Counter(each.run.arm.name for each in scored if each.run.arm.trains)
    if min(done.values(), default=plan.settings.num_seeds) < _FEWEST_SEEDS:
        yield f"Fewer than {_FEWEST_SEEDS} seeds: differences of a point or so say nothing."
    named = {arm.name for arm in plan.arms}
    absent = [words for name, words in _CONTROLS.items() if name not in named]
    if absent and any(arm.trains and arm.pictures == "own" for arm in plan.arms):
        yield f"Not run, and needed beside a score with pictures: {'; '.join(absent)}."
    stamps = dict.fromkeys(row.stamp for row in published_scores(set_known_as(gold.known)))
    if stamps:
        meanings = "; ".join(f"{stamp}: {STAMPS[stamp]}" for stamp in stamps)
        yield f"Published scores are of other recipes, models and often other labels or decoding. {meanings}."
    yield f"Command: {plan.settings.command}"
