"""Data sets: files of any known format to ``Example`` records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from instruct_mner.data.checks import check_gold
from instruct_mner.data.content import hash_content
from instruct_mner.data.dataset import Dataset, Reading, ReadOptions
from instruct_mner.data.formats import FORMATS, find_files, left_out_of_folder
from instruct_mner.data.problem_groups import ProblemGroups
from instruct_mner.errors import ConfigError
from instruct_mner.schema.choices import Decode, LabelColumn, MissingImage


def load(
    data: str,
    *,
    images: Path | None = None,
    decode: Decode = "tolerant",
    missing_image: MissingImage = "error",
    label_column: LabelColumn = "fine",
    xml: Path | None = None,
) -> dict[str, Dataset]:
    """Load a data set.

    Args:
        data: A path or ``format:path``; a folder gives all of its splits, a file one.
        images: Folder of the pictures; without it, where the format usually has them.
        decode: Decoding of BIO tags to entities.
        missing_image: Treatment of posts whose pictures are not there: ``error``; ``text``: keep them as
            text, without boxes; ``skip``: leave them out; ``keep``: leave them as they are annotated, for
            work that opens no picture.
        label_column: Column of FMNERG that holds the labels.
        xml: Folder of the boxes of GMNER and FMNERG; without it, where the format usually has them.

    Returns:
        The splits by name, in the order train, dev, test; a file's name is its stem.

    Raises:
        ConfigError: An unknown format, or no such folder of pictures or boxes.
        DataError: Anything wrong in the files; all of it at once.
    """
    readings = read(data, images=images, decode=decode, label_column=label_column, xml=xml)
    return checked(readings, data, missing_image)


def checked(readings: Mapping[str, Reading], data: str, missing_image: MissingImage) -> dict[str, Dataset]:
    """Return the splits of readings without problems, after posts whose pictures are missing were treated.

    Raises:
        DataError: Anything wrong in the files; all of it at once.
    """
    checks = {split: check_gold(reading.dataset) for split, reading in readings.items()}
    problems = [problem for reading in readings.values() for problem in reading.problems]
    problems += [problem for each in checks.values() for problem in each.problems]
    if missing_image == "error":
        reports = [reading.dataset.missing_report() for reading in readings.values()]
        problems += [report for report in reports if report]
    ProblemGroups(problems).stop(data, of_posts=True)
    return {
        split: _treated(reading.dataset, checks[split].lines(), missing_image) for split, reading in readings.items()
    }


def _treated(dataset: Dataset, lines: Iterable[str], how: MissingImage) -> Dataset:
    missing = dataset.missing_report(how) if how in {"text", "skip"} else None
    told = () if missing is None else (missing,)
    return replace(dataset, notes=(*dataset.notes, *lines, *told)).without_missing(how)


def load_split(
    data: str,
    *,
    images: Path | None = None,
    decode: Decode = "tolerant",
    missing_image: MissingImage = "error",
    label_column: LabelColumn = "fine",
    xml: Path | None = None,
) -> Dataset:
    """Load one split: a file, or a folder that holds one. Arguments and errors as of ``load``."""
    form, files = find_files(data)
    if len(files) > 1:
        names = ", ".join(f"{form}:{path}" for path in files.values())
        raise ConfigError(f"{data} holds several splits; name one of them: {names}")
    [path] = files.values()
    [dataset] = load(
        f"{form}:{path}",
        images=images,
        decode=decode,
        missing_image=missing_image,
        label_column=label_column,
        xml=xml,
    ).values()
    return dataset


def read(
    data: str,
    *,
    images: Path | None = None,
    decode: Decode = "tolerant",
    label_column: LabelColumn = "fine",
    xml: Path | None = None,
) -> dict[str, Reading]:
    """Read a data set with whatever is wrong in it, for those who want to report rather than to fail.

    Raises:
        ConfigError: An unknown format, or no such folder of pictures or boxes.
        DataError: No such file, or a folder without splits.
    """
    return read_with(data, ReadOptions(images=images, decode=decode, label_column=label_column, xml=xml))


def read_with(data: str, options: ReadOptions) -> dict[str, Reading]:
    """Read a data set as :func:`read` does, with all options of the readers."""
    form, files = find_files(data)
    left_out = left_out_of_folder(data, files)
    readings: dict[str, Reading] = {}
    for split, path in files.items():
        reading = FORMATS[form].reader(path, options)
        folder = reading.dataset.name.rpartition("/")[0]
        hashes = hash_content(reading.dataset.examples if reading.tolerant is None else reading.tolerant)
        readings[split] = replace(
            reading,
            dataset=replace(
                reading.dataset,
                name=f"{folder}/{split}",
                content_sha256=hashes.content,
                text_sha256=hashes.text,
                notes=(*reading.dataset.notes, *(left_out if not readings else ())),
            ),
        )
    return readings
