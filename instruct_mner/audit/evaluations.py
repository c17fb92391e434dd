"""Evaluations in a text log: tables of scikit-learn's or seqeval's layout under a heading, epoch by epoch."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

Split = Literal["dev", "test"]

_HEADING = re.compile(r"\*{3,}\s*(?:running\s+)?(train|dev|valid\w*|test)\b[^*]*\*{3,}", re.IGNORECASE)
_RESULTS = re.compile(r"eval(?:uation)? results", re.IGNORECASE)
_BEST_MODEL = re.compile(r"with the best model on the dev set", re.IGNORECASE)
# Not the percentage of a progress bar.
_EPOCH = re.compile(r"\bepoch:?\s+(\d+)\b(?!%)", re.IGNORECASE)
# MKGformer names the epoch after the table.
_EPOCH_BEFORE = re.compile(r"\bepoch (\d+)/\d+, best (dev|test) f1", re.IGNORECASE)
_ROW = re.compile(r"^\s*(\S.*?)\s{2,}(\d?\.\d+)\s+(\d?\.\d+)\s+(\d?\.\d+)\s+(\d+)\s*$")
_MICRO = {"micro avg", "avg / total"}
_AVERAGES = _MICRO | {"macro avg", "weighted avg", "samples avg", "accuracy"}


@dataclass(kw_only=True)
class Evaluation:
    """A table of scores.

    Attributes:
        split: Split that was scored.
        epoch: Epoch after which it was scored, as the log counts; ``None`` where no epoch was named before.
        line: Number of the line of the micro average.
        f1: Micro F1 in per cent.
        num_entities: Number of gold entities.
        types: Number of gold entities of each type.
        of_best_dev: True where the log says that this is the model that dev chose.
    """

    split: Split
    epoch: int | None
    line: int
    f1: float = 0.0
    num_entities: int = 0
    types: dict[str, int] = field(default_factory=dict)
    of_best_dev: bool = False


def read_evaluations(lines: Iterable[str]) -> list[Evaluation]:
    """Return the tables of dev and test that have a micro average, in the order of the log.

    Args:
        lines: Lines of the log; progress bars may stand within them.
    """
    evaluations: list[Evaluation] = []
    epoch: int | None = None
    current: Evaluation | None = None
    of_best_dev = False
    for number, line in enumerate(lines, start=1):
        heading = _HEADING.search(line)
        if heading is not None:
            name = heading[1].lower()
            of_best_dev = bool(_BEST_MODEL.search(line)) or (of_best_dev and bool(_RESULTS.search(line)))
            current = None
            if name != "train":
                split: Split = "test" if name == "test" else "dev"
                current = Evaluation(split=split, epoch=epoch, line=number, of_best_dev=of_best_dev)
            continue
        if (named := _EPOCH_BEFORE.search(line)) is not None and evaluations and evaluations[-1].split == named[2]:
            evaluations[-1].epoch = int(named[1])
        if (named := _EPOCH.search(line)) is not None:
            epoch = int(named[1])
        row = _ROW.match(line)
        if row is None or current is None:
            continue
        if row[1] in _MICRO:
            current.f1, current.num_entities, current.line = 100 * float(row[4]), int(row[5]), number
            evaluations.append(current)
            current = None
        elif row[1] not in _AVERAGES:
            current.types[row[1]] = int(row[5])
    return evaluations
