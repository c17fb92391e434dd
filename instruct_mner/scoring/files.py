"""Scores files: the only part of scoring that reads any."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from instruct_mner.data.dataset import Dataset
from instruct_mner.data.gold_and_prediction import num_tag_columns, read_column
from instruct_mner.data.loading import load_split
from instruct_mner.errors import ConfigError, DataError
from instruct_mner.schema.choices import Decode, LabelColumn, Match
from instruct_mner.scoring.bootstrap import DEFAULT_NUM_RESAMPLES
from instruct_mner.scoring.origin import Origin, read_origin
from instruct_mner.scoring.predictions import read_predictions
from instruct_mner.scoring.report import Gold, Report, evaluate
from instruct_mner.scoring.systems import Systems, evaluate_systems


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
    given = [Path(gold) if predicted is None else predicted, *([] if compared is None else [compared])]
    dataset, stamp, origins = _gold(
        gold, given, decode, images, label_column, xml, runs, both_in_gold=predicted is None
    )
    posts = dataset.examples
    first, *others = ((str(path), read_predictions(path, posts, decode)) for path in given)
    report = evaluate(
        stamp,
        posts,
        first,
        others[0] if others else None,
        match=match,
        seed=seed,
        num_resamples=num_resamples,
    )
    return _stamped(report, origins)


def evaluate_several_files(
    gold: str,
    predicted: Sequence[Path],
    *,
    decode: Decode = "tolerant",
    match: Match = "offset",
    images: Path | None = None,
    label_column: LabelColumn = "fine",
    xml: Path | None = None,
    runs: Sequence[Path] = (),
    seed: int = 0,
    num_resamples: int = DEFAULT_NUM_RESAMPLES,
) -> Systems:
    """Score three prediction files or more, and compare each with each; arguments are those of `evaluate_files`."""
    dataset, stamp, origins = _gold(gold, predicted, decode, images, label_column, xml, runs, both_in_gold=False)
    systems = [(str(path), read_predictions(path, dataset.examples, decode)) for path in predicted]
    result = evaluate_systems(stamp, dataset.examples, systems, match=match, seed=seed, num_resamples=num_resamples)
    reports = [
        replace(report, origin=origins[number] if number < len(origins) else None)
        for number, report in enumerate(result.reports)
    ]
    return replace(result, reports=tuple(reports))


def _gold(
    gold: str,
    predicted: Sequence[Path],
    decode: Decode,
    images: Path | None,
    label_column: LabelColumn,
    xml: Path | None,
    runs: Sequence[Path],
    *,
    both_in_gold: bool,
) -> tuple[Dataset, Gold, list[Origin]]:
    """Read the gold, say what is odd in it, and where the systems come from."""
    if len(runs) > len(predicted):
        raise ConfigError(f"{len(runs)} runs are given for {len(predicted)} prediction file(s); name one for each")
    if num_tag_columns(Path(gold)) > 1:
        dataset = read_column(Path(gold), "gold", decode)
    elif both_in_gold:
        raise ConfigError(f"{gold}: name the predictions too; only columns of gold and prediction hold both")
    else:
        # "keep": scoring opens no picture, but needs the boxes of posts whose pictures are missing.
        dataset = load_split(
            gold, images=images, decode=decode, missing_image="keep", label_column=label_column, xml=xml
        )
    unannotated = [example.id for example in dataset.examples if example.entities is None]
    if unannotated:
        raise DataError(
            f"{dataset.path}: {len(unannotated)} post(s) are not annotated, the first is {unannotated[0]!r}: give them "
            "'entities' ([]: there is none), or take them out"
        )
    for path in predicted:
        if num_tag_columns(path) > 1:
            print(f"{path}: its last column of tags is taken for the prediction", file=sys.stderr)
    for note in dataset.notes:
        print(note, file=sys.stderr)
    stamp = Gold(dataset.name, dataset.sha256, decode, num_posts=len(dataset.examples), known=dataset.known)
    return dataset, stamp, [read_origin(folder, dataset) for folder in runs]


def _stamped(report: Report, origins: Sequence[Origin]) -> Report:
    """Return the report with where its first and second system come from."""
    comparison = report.comparison
    if len(origins) > 1 and comparison is not None:
        comparison = replace(comparison, report=replace(comparison.report, origin=origins[1]))
    return replace(report, comparison=comparison, origin=origins[0] if origins else None)
