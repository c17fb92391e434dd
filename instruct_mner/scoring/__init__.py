"""Scoring: gold and predictions in, typed results out; no files, no models."""

from instruct_mner.scoring.bootstrap import Difference, Interval, Measured, compare, intervals
from instruct_mner.scoring.counts import Average, Score, Tally
from instruct_mner.scoring.report import Comparison, Gold, Report, evaluate
from instruct_mner.scoring.spans import SpanScores, score_spans
from instruct_mner.scoring.tags import score_tags
from instruct_mner.scoring.triples import TripleScores, score_triples

__all__ = [
    "Average",
    "Comparison",
    "Difference",
    "Gold",
    "Interval",
    "Measured",
    "Report",
    "Score",
    "SpanScores",
    "Tally",
    "TripleScores",
    "compare",
    "evaluate",
    "intervals",
    "score_spans",
    "score_tags",
    "score_triples",
]
