"""Scores files: the only part of scoring that reads any."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from instruct_mner.data import standard_input
from instruct_mner.data.dataset import Dataset
from instruct_mner.data.gold_and_prediction import num_tag_columns, read_column
from instruct_mner.data.importing.piped import piped_rows
from instruct_mner.data.loading import load_split
from instruct_mner.errors import ConfigError, DataError
from instruct_mner.schema.choices import Decode, LabelColumn, Match
from instruct_mner.schema.records import Prediction
from instruct_mner.scoring.bootstrap import DEFAULT_NUM_RESAMPLES
from instruct_mner.scoring.origin import Origin, read_origin
from instruct_mner.scoring.outside_boxes import note_on_boxes
from instruct_mner.scoring.predictions import read_predictions
from instruct_mner.scoring.report import Gold, Report, evaluate
from instruct_mner.scoring.systems import Systems, evaluate_systems


@dataclass(frozen=True, kw_only=True)
class GoldSource:
    """Gold to score against, as the user names it.

    Attributes:
        data: DATA, as ``load_split`` takes it. Pictures are not opened and may be missing.
        decode: Decoding of the BIO tags of the gold to spans.
        images: Folder of the pictures, where the reader asks for it.
        label_column: Column of FMNERG that holds the labels, in predictions too.
        xml: Folder of the boxes of GMNER and FMNERG.
    """

    data: str
    decode: Decode = "tolerant"
    images: Path | None = None
    label_column: LabelColumn = "fine"
    xml: Path | None = None

    def read(self) -> tuple[Dataset, Gold]:
        """Read the gold, say what is odd in it, and stamp it.

        Raises:
            DataError: It cannot be read, or is not annotated.
        """
        if num_tag_columns(Path(self.data)) > 1:
            dataset = read_column(Path(self.data), "gold", self.decode)
        else:
            # "keep": scoring opens no picture, but needs the boxes of posts whose pictures are missing.
            dataset = load_split(
                self.data,
                images=self.images,
                decode=self.decode,
                missing_image="keep",
                label_column=self.label_column,
                xml=self.xml,
            )
        unannotated = [example.id for example in dataset.examples if example.entities is None]
        if unannotated:
            raise DataError(
                f"{dataset.path}: {len(unannotated)} post(s) are not annotated, the first is {unannotated[0]!r}: give "
                "them 'entities' ([]: there is none), or take them out"
            )
        for note in dataset.notes:
            print(note, file=sys.stderr)
        return dataset, gold_of(dataset, self.decode)

    def predictions(self, path: Path, dataset: Dataset) -> Sequence[Prediction]:
        """Read predictions, and say which boxes lie outside of their pictures.

        Args:
            path: The file.
            dataset: The gold.

        Raises:
            DataError: They cannot be read.
        """
        if str(path) == standard_input.NAME and not path.exists():
            path = piped_rows()
        predictions = read_predictions(path, dataset.examples, self.decode, self.label_column)
        if (note := note_on_boxes(predictions, dataset.examples, dataset.image_root)) is not None:
            print(f"{path}: {note}", file=sys.stderr)
        return predictions


def gold_of(dataset: Dataset, decode: Decode = "tolerant") -> Gold:
    """Return the stamp of a gold."""
    return Gold(dataset.name, dataset.sha256, decode, num_posts=len(dataset.examples), known=dataset.known)


def check_streams(gold: str, predicted: Sequence[Path]) -> None:
    """Raise a ConfigError where two of the files to score are standard input, which is one file."""
    if [gold.rpartition(":")[2], *map(str, predicted)].count(standard_input.NAME) > 1:
        raise ConfigError("standard input (-) can be one of the files only; save the others, and name them")


def evaluate_files(
    gold: GoldSource,
    predicted: Sequence[Path],
    *,
    match: Match = "offset",
    runs: Sequence[Path] = (),
    seed: int = 0,
    num_resamples: int = DEFAULT_NUM_RESAMPLES,
) -> Report | Systems:
    """Score prediction files; two are compared, of more each with each.

    Args:
        gold: Gold.
        predicted: Predictions, as ``read_predictions`` takes them; none where they stand in a column of the gold.
        match: Condition under which an entity is right.
        runs: Run folder or weights of each system, in their order: what they were trained on is stamped.
        seed: Seed of the bootstrap.
        num_resamples: Draws of posts.

    Returns:
        Report of one system, or of the first with its comparison with a second; of more, that of each and all pairs.

    Raises:
        ConfigError: There are more runs than prediction files, or two files are standard input.
        DataError: A file cannot be read, gold is not annotated, or the files are not of the same posts.
        ModelError: A run has no manifest.
    """
    if len(runs) > max(1, len(predicted)):
        raise ConfigError(f"{len(runs)} runs are given for {len(predicted)} prediction file(s); name one for each")
    if not predicted and num_tag_columns(Path(gold.data)) < 2:
        raise ConfigError(f"{gold.data}: name the predictions too; only columns of gold and prediction hold both")
    check_streams(gold.data, predicted)
    dataset, stamp = gold.read()
    posts = dataset.examples
    systems = [(str(path), gold.predictions(path, dataset)) for path in predicted or [Path(gold.data)]]
    origins = [read_origin(folder, dataset) for folder in runs]
    if len(systems) > 2:
        result = evaluate_systems(stamp, posts, systems, match=match, seed=seed, num_resamples=num_resamples)
        reports = [
            replace(report, origin=origins[number] if number < len(origins) else None)
            for number, report in enumerate(result.reports)
        ]
        return replace(result, reports=tuple(reports))
    first, *others = systems
    second = others[0] if others else None
    report = evaluate(stamp, posts, first, second, match=match, seed=seed, num_resamples=num_resamples)
    return _stamped(report, origins)


def _stamped(report: Report, origins: Sequence[Origin]) -> Report:
    """Return the report with where its first and second system come from."""
    comparison = report.comparison
    if len(origins) > 1 and comparison is not None:
        comparison = replace(comparison, report=replace(comparison.report, origin=origins[1]))
    return replace(report, comparison=comparison, origin=origins[0] if origins else None)
