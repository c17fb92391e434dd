"""The scorer beside seqeval: the same numbers in the same shape, and tags that are wrong in every way."""

from __future__ import annotations

import random
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seqeval.metrics import classification_report, f1_score
from seqeval.scheme import IOB2

from instruct_mner.files import read_lines
from instruct_mner.schema.choices import Decode
from instruct_mner.scoring import Score, SpanScores, score_tags

Tags = list[list[str]]
Report = dict[str, dict[str, float]]

SEQEVAL_SETTINGS: Mapping[Decode, Mapping[str, Any]] = {"tolerant": {}, "strict": {"mode": "strict", "scheme": IOB2}}
"""Keyword arguments of seqeval's functions that match a decoding of ours."""

_TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def read_tags(path: Path) -> Tags:
    """Return the tag sequences of a CoNLL file."""
    sequences: Tags = []
    for line in read_lines(path):
        if "IMGID:" in line:
            sequences.append([])
        elif "\t" in line:
            sequences[-1].append(line.rpartition("\t")[2])
    return sequences


def largest_difference(gold: Tags, predicted: Tags, decode: Decode) -> float:
    """Return the largest difference of any number of the two reports, which must have the same rows."""
    theirs = _seqeval_report(gold, predicted, decode)
    ours = _our_report(score_tags(gold, predicted, decode))
    if ours.keys() != theirs.keys():
        raise ValueError(f"rows {sorted(ours)}, seqeval {sorted(theirs)}")
    return float(
        max(abs(ours[row][name] - value) for row, numbers in theirs.items() for name, value in numbers.items())
    )


def corrupted(gold: Sequence[Sequence[str]], rate: float, generator: random.Random) -> Tags:
    """Return tags with a share of them changed: other types and prefixes, orphaned I- tags, lost and new entities."""
    changes = (
        lambda tag: generator.choice(_TAGS),
        lambda tag: "I" + tag[1:] if tag != "O" else "I-OTHER",
        lambda tag: "B" + tag[1:] if tag != "O" else "B-PER",
        lambda tag: "O",
    )
    return [[generator.choice(changes)(tag) if generator.random() < rate else tag for tag in tags] for tags in gold]


def _seqeval_report(gold: Tags, predicted: Tags, decode: Decode) -> Report:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report: Report = classification_report(gold, predicted, output_dict=True, **SEQEVAL_SETTINGS[decode])
        report["micro avg"]["f1 alone"] = f1_score(gold, predicted, **SEQEVAL_SETTINGS[decode])
    return report


def _our_report(scores: SpanScores) -> Report:
    """Return our numbers in seqeval's shape."""

    def row(score: Any) -> dict[str, float]:
        return {"precision": score.precision, "recall": score.recall, "f1-score": score.f1}

    micro: Score = scores.micro.score
    support = {"support": float(micro.gold)}
    return {
        **{label: {**row(score), "support": float(score.gold)} for label, score in scores.type_scores.items()},
        "micro avg": {**row(micro), **support, "f1 alone": micro.f1},
        "macro avg": {**row(scores.macro), **support},
        "weighted avg": {**row(scores.weighted), **support},
    }
