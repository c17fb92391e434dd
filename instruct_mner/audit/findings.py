"""Findings of an audit: each with the line of the log that it stands on, or with the reason why it cannot be told."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Topic = Literal["choice", "labels", "decoding", "score"]
"""Question that a finding answers: what chose the checkpoint, which labels, which decoding, which scores there are."""

Verdict = Literal["fine", "warning", "unknown"]
"""``warning``: the score flatters, or is no F1. ``unknown``: the log does not tell."""

TOPICS: tuple[Topic, ...] = ("choice", "labels", "decoding", "score")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A finding.

    Attributes:
        topic: Question that it answers.
        verdict: Judgement.
        text: Finding in words.
        evidence: Line, key or file that it stands on; empty where nothing tells it.
    """

    topic: Topic
    verdict: Verdict
    text: str
    evidence: str = ""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Findings on a log.

    Attributes:
        log: File or folder.
        layout: Program that wrote it, as far as it is recognised.
        findings: Findings, by topic.
    """

    log: str
    layout: str
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, object]:
        """As one JSON object."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the audit for people, a line for each finding and its evidence."""
        lines = [f"{self.log}: {self.layout}"]
        for topic in TOPICS:
            of_topic = [each for each in self.findings if each.topic == topic]
            of_topic = of_topic or [Finding(topic=topic, verdict="unknown", text="the log says nothing about it")]
            for each in of_topic:
                sign = {"fine": "", "warning": "WARNING: ", "unknown": "cannot be told: "}[each.verdict]
                lines.append(f"{topic:<9} {sign}{each.text}")
                if each.evidence:
                    lines.append(f"{'':<9}   {each.evidence}")
        return lines
