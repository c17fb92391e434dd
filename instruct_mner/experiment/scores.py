"""Scores of the runs of an experiment: each run's report, and the counts that arms are compared by."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from instruct_mner.data.dataset import Dataset
from instruct_mner.experiment.plan import Plan, PlannedRun
from instruct_mner.files import replacing
from instruct_mner.schema.records import PredictedEntity, Prediction
from instruct_mner.scoring.files import GoldSource
from instruct_mner.scoring.origin import read_origin
from instruct_mner.scoring.report import Gold, System, measure_system

# Draws for the interval of a single run; the table's are drawn anew, over runs and posts.
_NUM_RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class ScoredRun:
    """A complete run.

    Attributes:
        run: Run of the plan.
        system: Report of the run, with the counts of each post.
    """

    run: PlannedRun
    system: System


@dataclass(frozen=True, kw_only=True)
class GoldPosts:
    """Annotated posts that runs are scored on.

    Attributes:
        source: Source of the posts.
        dataset: Posts.
        gold: Stamp of the posts.
        is_grounded: True where boxes are asked for, and all entities have some or are annotated as not visible.
    """

    source: GoldSource
    dataset: Dataset
    gold: Gold
    is_grounded: bool


def read_test(plan: Plan) -> GoldPosts:
    """Read the posts that runs are scored on.

    Raises:
        DataError: They cannot be read, or are not annotated.
    """
    data = plan.config(plan.arms[0], 0).data
    source = GoldSource(
        data=plan.splits.test, decode=data.decode, images=data.images, label_column=data.label_column, xml=data.xml
    )
    dataset, gold = source.read()
    entities = [entity for post in dataset.examples for entity in post.gold]
    annotated = bool(entities) and all(entity.boxes is not None for entity in entities)
    return GoldPosts(source=source, dataset=dataset, gold=gold, is_grounded=plan.asks_for_boxes and annotated)


def score_run(run: PlannedRun, test: GoldPosts) -> ScoredRun:
    """Score a run from its predictions.

    Args:
        run: Run whose posts are all tagged.
        test: Annotated posts.

    Raises:
        DataError: Predictions cannot be read, or are of other posts.
    """
    posts = test.dataset.examples
    predictions = test.source.predictions(run.predictions, test.dataset)
    if test.is_grounded:
        predictions = [_not_visible_where_unasked(each) for each in predictions]
    system = measure_system(
        test.gold, posts, predictions, run.name, match="offset", labels=None, seed=0, num_resamples=_NUM_RESAMPLES
    )
    if run.arm.train:
        origin = read_origin(run.folder, test.dataset)
        if run.arm.of is not None:
            origin = replace(origin, pictures=run.arm.pictures)
        system = replace(system, report=replace(system.report, origin=origin))
    return ScoredRun(run=run, system=system)


def write_report(scored: ScoredRun) -> None:
    """Write the report of a run, which makes it complete."""
    with replacing(scored.run.report) as file:
        file.write(json.dumps(scored.system.report.to_dict(), indent=2, ensure_ascii=False) + "\n")


def leaked(scored: Sequence[ScoredRun]) -> tuple[str, ...]:
    """Return the leaks of all runs, each once."""
    origins = [each.system.report.origin for each in scored]
    return tuple(dict.fromkeys(line for origin in origins if origin is not None for line in origin.leaked))


def _not_visible_where_unasked(prediction: Prediction) -> Prediction:
    """Return a prediction with "not visible" for entities without an answer about boxes: all that needs no picture."""
    entities: tuple[PredictedEntity, ...] = tuple(
        entity if entity.boxes is not None else entity.model_copy(update={"boxes": ()})
        for entity in prediction.entities
    )
    return prediction.model_copy(update={"entities": entities})
