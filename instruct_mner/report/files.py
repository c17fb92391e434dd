"""Report of files: reads gold and predictions, and writes the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from instruct_mner.data.dataset import Dataset, find_picture
from instruct_mner.data.loading import load_split
from instruct_mner.errors import ConfigError
from instruct_mner.report.page import PageText, write_page
from instruct_mner.report.posts import page_posts
from instruct_mner.report.summary import RunSummary, summarize
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.scoring.bootstrap import Difference
from instruct_mner.scoring.predictions import read_predictions
from instruct_mner.scoring.report import Gold, Report, evaluate
from instruct_mner.scoring.spans import pair_posts

DEFAULT_NUM_RESAMPLES = 1_000
"""Resamples for the intervals of a page, which shows one decimal."""
DEFAULT_NUM_PICTURES = 200


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Choices that do not change the scores.

    Attributes:
        most_pictures: Largest number of pictures inside the page.
        num_resamples: Number of resamples of the bootstrap.
        seed: Seed of the bootstrap.
    """

    most_pictures: int = DEFAULT_NUM_PICTURES
    num_resamples: int = DEFAULT_NUM_RESAMPLES
    seed: int = 0


def report_files(
    path: Path,
    gold: str,
    predicted: Sequence[Path],
    *,
    names: Sequence[str] = (),
    images: Path | None = None,
    train: str | None = None,
    title: str | None = None,
    options: ReportOptions | None = None,
) -> None:
    """Write the page of prediction files.

    Args:
        path: HTML file.
        gold: DATA, as ``load_split`` takes it.
        predicted: Prediction files, as ``read_predictions`` takes them.
        names: Names of the files on the page; by default their paths.
        images: Folder of the pictures, where the reader asks for it.
        train: DATA of the training posts, for the recall of mentions that they hold.
        title: Title of the page; by default the name of the gold.
        options: Choices that do not change the scores.

    Raises:
        ConfigError: There are other numbers of names and files.
        DataError: A file cannot be read, or the files are not of the same posts.
    """
    if names and len(names) != len(predicted):
        raise ConfigError(f"{len(names)} --name for {len(predicted)} prediction file(s); name all of them or none")
    dataset = load_split(gold, images=images, missing_image="keep")
    by_name = dict(zip(names or map(str, predicted), map(read_predictions, predicted), strict=True))
    if len(by_name) < len(predicted):
        raise ConfigError("two prediction files have the same name on the page; give each another --name")
    seen = None if train is None else load_split(train, missing_image="keep").examples
    write_report(
        path,
        PageText(title=title or f"Predictions of {dataset.name}"),
        dataset,
        by_name,
        train=seen,
        options=options,
    )


def write_report(
    path: Path,
    text: PageText,
    dataset: Dataset,
    predictions: Mapping[str, Sequence[Prediction]],
    *,
    train: Sequence[Example] | None = None,
    options: ReportOptions | None = None,
) -> None:
    """Write the page of predictions.

    Args:
        path: HTML file.
        text: Title and introduction.
        dataset: Annotated posts.
        predictions: Predictions of every post, by their name on the page; others are compared with the first.
        train: Annotated posts of the training data.
        options: Choices that do not change the scores.

    Raises:
        DataError: Gold and predictions are not of the same posts, or the page cannot be written.
    """
    options = options or ReportOptions()
    reports, differences = _scores(dataset, predictions, options)
    runs: list[RunSummary] = []
    ordered = []
    for (name, found), report in zip(predictions.items(), reports, strict=True):
        pairs = pair_posts(dataset.examples, found)
        ordered.append([prediction for _, prediction in pairs])
        runs.append(summarize(name, report, pairs, train, seed=options.seed, num_resamples=options.num_resamples))
    paths = _pictures(dataset)
    posts = page_posts(dataset.examples, runs, ordered, paths, most_pictures=options.most_pictures)
    write_page(path, text, runs, differences, posts)


def _scores(
    dataset: Dataset, predictions: Mapping[str, Sequence[Prediction]], options: ReportOptions
) -> tuple[list[Report], list[dict[str, Difference]]]:
    """Return the scores of each file, and the differences of further ones from the first."""
    stamp = Gold(dataset.name, dataset.sha256, "tolerant", num_posts=len(dataset.examples), known=dataset.known)
    first, *others = predictions.items()
    alone: list[tuple[str, Sequence[Prediction]] | None] = [None]
    results = [
        evaluate(stamp, dataset.examples, first, other, seed=options.seed, num_resamples=options.num_resamples)
        for other in (others or alone)
    ]
    compared = [each.comparison for each in results if each.comparison is not None]
    return [results[0], *(each.report for each in compared)], [each.differences for each in compared]


def _pictures(dataset: Dataset) -> dict[int, Path]:
    """Return the first picture of each post that has one which is there."""
    root = dataset.image_root
    if root is None:
        return {}
    found = {
        number: find_picture(root, example.images[0])
        for number, example in enumerate(dataset.examples)
        if example.images
    }
    return {number: path for number, path in found.items() if path is not None}
