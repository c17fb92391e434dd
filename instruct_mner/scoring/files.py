"""Scores files: the only part of scoring that reads any."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from instruct_mner.data import Decode, load_split
from instruct_mner.errors import DataError, listing
from instruct_mner.files import read_lines
from instruct_mner.records import Prediction
from instruct_mner.scoring.bootstrap import DEFAULT_NUM_RESAMPLES
from instruct_mner.scoring.report import Gold, Report, evaluate
from instruct_mner.scoring.spans import Match


def read_predictions(path: Path) -> list[Prediction]:
    """Reads JSONL of predictions, as ``tag`` writes it.

    Raises:
        DataError: The file cannot be read, or rows are wrong: each with file, line and reason.
    """
    predictions, problems = [], []
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        try:
            predictions.append(Prediction.model_validate_json(line))
        except ValidationError as error:
            for found in error.errors(include_url=False, include_input=False):
                field = ".".join(str(part) for part in found["loc"] if not str(part).startswith("function-"))
                message = found["msg"].removeprefix("Value error, ")
                problems.append(f"{path}:{number}: {field}{': ' if field else ''}{message}")
    if problems:
        raise DataError(f"{path} holds rows that are not predictions:\n{listing(problems)}")
    return predictions


def evaluate_files(
    gold: str,
    predicted: Path,
    compared: Path | None = None,
    *,
    decode: Decode = "tolerant",
    match: Match = "offset",
    images: Path | None = None,
    seed: int = 0,
    num_resamples: int = DEFAULT_NUM_RESAMPLES,
) -> Report:
    """Scores a prediction file, or compares two; see :func:`~.report.evaluate`.

    Args:
        gold: DATA, as ``load_split`` takes it. Pictures are not opened and may be missing.
        predicted: JSONL of predictions.
        compared: Those of a second system.
        decode: How BIO tags of the gold become spans.
        match: What makes an entity right.
        images: Folder of the pictures, where the reader asks for it.
        seed: Of the bootstrap.
        num_resamples: Draws of posts.

    Raises:
        DataError: A file cannot be read, or the files are not of the same posts.
    """
    # "keep": scoring opens no picture, but needs the boxes of posts whose pictures are missing.
    dataset = load_split(gold, images=images, decode=decode, missing_image="keep")
    return evaluate(
        Gold(dataset.name, dataset.sha256, decode, num_posts=len(dataset.examples)),
        dataset.examples,
        (str(predicted), read_predictions(predicted)),
        None if compared is None else (str(compared), read_predictions(compared)),
        match=match,
        seed=seed,
        num_resamples=num_resamples,
    )
