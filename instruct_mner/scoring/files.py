"""Scores files: the only part of scoring that reads any."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from instruct_mner.data.gold_and_prediction import num_tag_columns, read_column
from instruct_mner.data.loading import load_split
from instruct_mner.errors import ConfigError, DataError
from instruct_mner.schema.choices import Decode, LabelColumn, Match
from instruct_mner.scoring.bootstrap import DEFAULT_NUM_RESAMPLES
from instruct_mner.scoring.origin import Origin, read_origin
from instruct_mner.scoring.predictions import read_predictions
from instruct_mner.scoring.report import Gold, Report, evaluate


def evaluate_files(
    gold: str,
    predicted: Path | None,
    compared: Path | None = None,
    *,
    decode: Decode = "tolerant",
    match: Match = "offset",
    images: Path | None = None,
    label_column: LabelColumn = "fine",
    xml: Path | None = None,
    runs: Sequence[Path] = (),
    seed: int = 0,
    num_resamples: int = DEFAULT_NUM_RESAMPLES,
) -> Report:
    """Score a prediction file, or compare two; see :func:`~.report.evaluate`.

    Args:
        gold: DATA, as ``load_split`` takes it. Pictures are not opened and may be missing.
        predicted: Predictions, as ``read_predictions`` takes them; ``None`` where they stand in a column of the gold.
        compared: Those of a second system.
        decode: Decoding of the BIO tags of the gold to spans.
        match: Condition under which an entity is right.
        images: Folder of the pictures, where the reader asks for it.
        label_column: Column of FMNERG that holds the labels.
        xml: Folder of the boxes of GMNER and FMNERG.
        runs: Run folder or weights of the first system, then of the second: what they were trained on is stamped.
        seed: Seed of the bootstrap.
        num_resamples: Draws of posts.

    Raises:
        ConfigError: There are more runs than prediction files.
        DataError: A file cannot be read, gold is not annotated, or the files are not of the same posts.
        ModelError: A run has no manifest.
    """
    num_systems = 1 if compared is None else 2
    if len(runs) > num_systems:
        raise ConfigError(f"{len(runs)} runs are given for {num_systems} prediction file(s); name one for each")
    if num_tag_columns(Path(gold)) > 1:
        dataset = read_column(Path(gold), "gold", decode)
    elif predicted is None:
        raise ConfigError(f"{gold}: name the predictions too; only columns of gold and prediction hold both")
    else:
        # "keep": scoring opens no picture, but needs the boxes of posts whose pictures are missing.
        dataset = load_split(
            gold, images=images, decode=decode, missing_image="keep", label_column=label_column, xml=xml
        )
    predicted = Path(gold) if predicted is None else predicted
    posts = dataset.examples
    unannotated = [example.id for example in dataset.examples if example.entities is None]
    if unannotated:
        raise DataError(
            f"{dataset.path}: {len(unannotated)} post(s) are not annotated, the first is {unannotated[0]!r}: give them "
            "'entities' ([]: there is none), or take them out"
        )
    if num_tag_columns(predicted) > 1:
        print(f"{predicted}: its last column of tags is taken for the prediction", file=sys.stderr)
    for note in dataset.notes:
        print(note, file=sys.stderr)
    origins = [read_origin(folder, dataset) for folder in runs]
    report = evaluate(
        Gold(dataset.name, dataset.sha256, decode, num_posts=len(dataset.examples), known=dataset.known),
        posts,
        (str(predicted), read_predictions(predicted, posts, decode)),
        None if compared is None else (str(compared), read_predictions(compared, posts, decode)),
        match=match,
        seed=seed,
        num_resamples=num_resamples,
    )
    return _stamped(report, origins)


def _stamped(report: Report, origins: Sequence[Origin]) -> Report:
    """Return the report with where its first and second system come from."""
    comparison = report.comparison
    if len(origins) > 1 and comparison is not None:
        comparison = replace(comparison, report=replace(comparison.report, origin=origins[1]))
    return replace(report, comparison=comparison, origin=origins[0] if origins else None)
