"""A post as it is shown in one view of one epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instruct_mner.prompting.conversation import answer_text, post_text
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import Example

VIEWS = "alignment"
"""Where a batch carries its other views; the trainer takes them out before the model sees it."""


@dataclass(frozen=True)
class Shown:
    """A post as it is shown in one view.

    Attributes:
        example: The post, augmented.
        labels: What is asked for.
        row: Question, answer and opened pictures, in TRL's form.
        key: Names its random numbers: seed, epoch and id.
        paths: Where its pictures lie.
    """

    example: Example
    labels: LabelSet
    row: Mapping[str, Any]
    key: str
    paths: Sequence[Path] = ()

    @property
    def block(self) -> str:
        """The part of the question that holds the text."""
        return post_text(self.row["prompt"])

    @property
    def answer(self) -> str:
        """The gold answer."""
        return answer_text(self.row["completion"])
