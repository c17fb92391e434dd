"""Training samples of the starter: tokens, the tokens that count in the loss, and targets of the attention losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.synthetic.label_sets import Domain


@dataclass(frozen=True)
class Target:
    """Target of one row of attention: from the token at position ``query`` to those at positions ``keys``."""

    hop: str
    query: int
    keys: tuple[int, ...]


@dataclass
class Sample:
    """Training sample: one sequence.

    Attributes:
        kind: Kind of sample, for the log.
        prefix: Tokens that all samples of a batch begin with; they do not count in the loss.
        ids: Tokens after the prefix.
        learned: For each of ``ids``, whether it counts in the loss.
        picture: Index of the post whose picture is in the prompt; ``None`` is no picture.
        targets: Targets of the attention losses.
        decisive: Positions in ``ids`` of tokens that count more in the loss, each with a name for the log: those that
            name a type, or say that there is a box, and where.
    """

    kind: str
    prefix: tuple[int, ...]
    ids: list[int] = field(default_factory=list)
    learned: list[bool] = field(default_factory=list)
    picture: int | None = None
    targets: list[Target] = field(default_factory=list)
    decisive: list[tuple[int, str]] = field(default_factory=list)

    @property
    def position(self) -> int:
        """Position of the next token in the whole sequence."""
        return len(self.prefix) + len(self.ids)

    def add(self, ids: Sequence[int], *, learned: bool = False) -> None:
        """Append tokens."""
        self.ids.extend(ids)
        self.learned.extend([learned] * len(ids))


@dataclass(frozen=True)
class LabelSetPrompt:
    """Prompt of a label set up to the picture.

    Attributes:
        domain: Domain of the types.
        names: Name of each type of the domain.
        spec: Form of the answer, with the labels in the order of the prompt.
        prefix: Tokens up to the picture.
        definitions: Position of the last token of each definition; ``None`` without definitions.
        targets: Targets from each definition to its label.
        grounded: Whether the answer has boxes.
        renamed: Whether the types have other names than their own.
    """

    domain: Domain
    names: tuple[str, ...]
    spec: AnswerSpec
    prefix: tuple[int, ...]
    definitions: tuple[int, ...] | None
    targets: tuple[Target, ...]
    grounded: bool = False
    renamed: bool = False
