"""Checks of a run that need no weights, so that they come before torch and before a download."""

from __future__ import annotations

import os

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.console import working
from instruct_mner.data.dataset import Dataset
from instruct_mner.errors import DataError
from instruct_mner.files import exclusive
from instruct_mner.models.config_file import takes_pictures
from instruct_mner.models.hub import check_whole_model
from instruct_mner.models.locations import check_revision
from instruct_mner.prompting.templates import find_prompt
from instruct_mner.training.augmentation import all_names
from instruct_mner.training.checkpoints import check_run_folder
from instruct_mner.training.config import FinetuneConfig
from instruct_mner.training.datasets import Sources, load_sources
from instruct_mner.training.trackers import check_trackers
from instruct_mner.training.trainable import check_scored, check_trainable, labels_of


def precheck(config: FinetuneConfig, *, resume: bool = False, dry_run: bool = False) -> Sources | None:
    """Check trackers, revision, run folder, template, that the model is there, data, pictures and labels.

    Args:
        config: Config of the run.
        resume: Whether an earlier run in the folder may be continued.
        dry_run: Whether nothing is written, so that the run folder may be in use.

    Returns:
        The data; ``None`` where the config of the model cannot be read, which loading it tells.

    Raises:
        MnerError: Something does not fit; the message says what and where.
    """
    check_trackers(config.report_to)
    check_revision(config.model, config.revision)
    # Of several processes one has the folder.
    if not dry_run and os.environ.get("RANK", "0") == "0":
        with exclusive(config.output):
            check_run_folder(config, resume=resume)
    find_prompt(config.prompt_name)
    check_whole_model(config.model, config.revision)
    sees = takes_pictures(config.model, config.revision)
    if sees is None:
        return None
    with working(f"reading {config.data.train}"):
        sources = load_sources(config.data, shows_pictures=sees and config.max_images > 0)
    check_sources(config, sources)
    return sources


def check_sources(config: FinetuneConfig, sources: Sources) -> None:
    """Refuse posts and labels that cannot be trained on or scored, whatever the model.

    Raises:
        MnerError: There are such; all of them are named at once.
    """
    train, dev = sources.train, sources.dev
    labels = config.labels or labels_of(train, dev)
    all_names(labels, config.augmentation)
    spec = AnswerSpec(
        labels=labels,
        grounded=config.answer.grounded,
        format=config.answer.format,
        segmentation=config.answer.segmentation or train.segmentation,
        max_entities=config.answer.max_entities,
    )
    problems = []
    for dataset, check in ((train, check_trainable), (dev, check_scored)):
        try:
            check(() if dataset is None else dataset.examples, spec)
        except DataError as error:
            problems.append(f"{dataset and dataset.path}: {error}")
    problems += _without_pictures(config, train)
    if problems:
        raise DataError("\n".join(problems))


def _without_pictures(config: FinetuneConfig, train: Dataset) -> list[str]:
    """Return what a run is to learn from pictures, captions, tags or OCR, where no post to train on has any."""
    has_pictures = any(example.images for example in train.examples)
    reasons = config.alignment.without_use(
        shows_pictures=has_pictures,
        shows_context=config.context and any(example.context is not None for example in train.examples),
        batch_size=config.optimizer.batch_size,
    )
    problems = [f"{train.path}: alignment: {reason}" for reason in reasons]
    if config.answer.grounded and not has_pictures:
        problems.append(f"{train.path}: answer.grounded asks for boxes on pictures, and no post has one")
    return problems
