"""An exercise of the starter: tokens, which of them are learned, and where attention ought to go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.synthetic.label_sets import Domain


@dataclass(frozen=True)
class Target:
    """One row of attention: the token at ``query`` ought to look at ``keys``, all as positions in the sequence."""

    hop: str
    query: int
    keys: tuple[int, ...]


@dataclass
class Exercise:
    """One sequence.

    Attributes:
        kind: Which exercise it is, for the log.
        prefix: What it shares with the others of its batch; not learned.
        ids: What follows.
        learned: Whether each of ``ids`` is learned.
        picture: Index of the post whose picture it shows; ``None`` is none.
        targets: Where attention ought to go.
        decisive: Positions in ``ids`` of tokens that say a type, each with a name for the log.
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
        """Where the next token goes, in the whole sequence."""
        return len(self.prefix) + len(self.ids)

    def add(self, ids: Sequence[int], *, learned: bool = False) -> None:
        """Appends tokens."""
        self.ids.extend(ids)
        self.learned.extend([learned] * len(ids))


@dataclass(frozen=True)
class Asked:
    """A label set as a prompt shows it, and its tokens.

    Attributes:
        domain: Whose types they are.
        names: The name of each type of the domain.
        spec: Form of the answer, with the labels in the order of the prompt.
        prefix: Tokens up to the picture.
        definitions: Position of the last token of each definition, where there are definitions.
        targets: From each definition to its label.
        grounded: Whether boxes are asked for.
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
