"""Report of files: reads gold and predictions, and writes the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from instruct_mner.data.conversion import check_output_file
from instruct_mner.data.dataset import Dataset
from instruct_mner.data.picture_files import find_picture
from instruct_mner.errors import ConfigError
from instruct_mner.report.page import PAGE_MARK, PageText, write_page
from instruct_mner.report.posts import page_posts
from instruct_mner.report.summary import summarize
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.scoring.files import GoldSource, check_streams, gold_of
from instruct_mner.scoring.pairing import pair_posts
from instruct_mner.scoring.report import Gold, differences, measure_system

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
    gold: GoldSource,
    predicted: Sequence[Path],
    *,
    names: Sequence[str] = (),
    train: str | None = None,
    title: str | None = None,
    options: ReportOptions | None = None,
) -> None:
    """Write the page of prediction files.

    Args:
        path: HTML file; a page that is there already is made anew.
        gold: Gold.
        predicted: Prediction files, as ``read_predictions`` takes them.
        names: Names of the files on the page; by default their paths.
        train: DATA of the training posts, read with the options of the gold, for the recall of mentions that they hold.
        title: Title of the page; by default the name of the gold.
        options: Choices that do not change the scores.

    Raises:
        ConfigError: There are other numbers of names and files, two files are standard input, or the output is a
            folder or a file that is no page.
        DataError: A file cannot be read, or the files are not of the same posts.
    """
    check_output_file(path, own_mark=PAGE_MARK.encode())
    if names and len(names) != len(predicted):
        raise ConfigError(f"{len(names)} --name for {len(predicted)} prediction file(s); name all of them or none")
    shown = list(names or map(str, predicted))
    if len(set(shown)) < len(shown):
        raise ConfigError("two prediction files have the same name on the page; give each another --name")
    check_streams(gold.data, predicted)
    dataset, stamp = gold.read()
    by_name = {name: gold.predictions(file, dataset) for name, file in zip(shown, predicted, strict=True)}
    # Read as the gold is: other labels or spans would make every mention one that training has not seen.
    seen = None if train is None else replace(gold, data=train).read()[0].examples
    text = PageText(title=title or f"Predictions of {dataset.name}")
    write_report(path, text, dataset, by_name, stamp=stamp, train=seen, options=options)


def write_report(
    path: Path,
    text: PageText,
    dataset: Dataset,
    predictions: Mapping[str, Sequence[Prediction]],
    *,
    stamp: Gold | None = None,
    train: Sequence[Example] | None = None,
    options: ReportOptions | None = None,
) -> None:
    """Write the page of predictions.

    Args:
        path: HTML file.
        text: Title and introduction.
        dataset: Annotated posts.
        predictions: Predictions of every post, by their name on the page; others are compared with the first.
        stamp: Stamp of the gold; by default that of the data set.
        train: Annotated posts of the training data.
        options: Choices that do not change the scores.

    Raises:
        DataError: Gold and predictions are not of the same posts, or the page cannot be written.
    """
    options = options or ReportOptions()
    draws = {"seed": options.seed, "num_resamples": options.num_resamples}
    stamp = stamp or gold_of(dataset)
    systems = [
        measure_system(stamp, dataset.examples, found, name, match="offset", labels=None, **draws)
        for name, found in predictions.items()
    ]
    pairs = [pair_posts(dataset.examples, found) for found in predictions.values()]
    runs = [
        summarize(name, system.report, paired, train, **draws)
        for name, system, paired in zip(predictions, systems, pairs, strict=True)
    ]
    ordered = [[prediction for _, prediction in paired] for paired in pairs]
    compared = [differences(systems[0], other, **draws) for other in systems[1:]]
    paths = [[find_picture(dataset.image_root, name) for name in example.images] for example in dataset.examples]
    posts = page_posts(dataset.examples, runs, ordered, paths, most_pictures=options.most_pictures)
    write_page(path, text, runs, compared, posts)
