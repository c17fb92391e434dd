"""Scores that others report, with their source and a stamp of how far they were checked."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from instruct_mner.data.yaml_files import read_yaml
from instruct_mner.schema.record import Record

Stamp = Literal["paper", "summary", "log", "unchecked"]

STAMPS: dict[Stamp, str] = {
    "paper": "read in the paper itself",
    "summary": "read in a table that quotes the paper",
    "log": "read in the authors' own training log",
    "unchecked": "could not be checked: quote it from the paper before you use it",
}
"""Meaning of each stamp."""

_FILE = Path(__file__).with_name("published.yaml")


class PublishedScore(Record):
    """A score that others report, in per cent.

    Attributes:
        system: Name of the system.
        micro: Micro F1 over spans with types.
        gmner: F1 over triples of span, type and region.
        types: F1 of each type.
        labels: Version of the labels, where it is known.
        source: Key of the link to the paper or its code.
        link: Link to it.
        stamp: Degree to which the number was checked.
    """

    system: str
    micro: float | None = Field(default=None, ge=0, le=100)
    gmner: float | None = Field(default=None, ge=0, le=100)
    types: dict[str, float] = Field(default_factory=dict)
    labels: str | None = None
    source: str | None = None
    link: str | None = None
    stamp: Stamp


def published_scores(name: str | None) -> tuple[PublishedScore, ...]:
    """Return the scores that are published on a set.

    Args:
        name: Name of the set, a key of ``sets.yaml``; ``None`` where the data are no published set.
    """
    values = read_yaml(_FILE)
    links = values.pop("sources")
    rows = values.get(name, ())
    return tuple(PublishedScore.model_validate({**row, "link": links.get(row.get("source"))}) for row in rows)
